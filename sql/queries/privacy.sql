-- name: forget
-- Forget taps of an account (null: of all) that were received before $2, at most $3; how many there were.
SELECT forget_taps($1, to_timestamp($2::float8), $3);

-- name: forget_ratings
-- Forget the rated days of an account (null: of all) before a date, and what its holder's category was until then.
WITH former AS (
    DELETE FROM card_category WHERE until_at < $2::date AND ($1::text IS NULL OR 'card:' || encode(card_uid, 'hex') = $1)
)
DELETE FROM day_rating WHERE service_date < $2 AND ($1::text IS NULL OR account = $1);

-- name: forget_places
-- Forget where media that have not been used since were used last, and the keys of devices whose tickets are long over.
WITH cards AS (
    UPDATE card SET last_place = NULL, last_tap = NULL, last_lat = NULL, last_lon = NULL
    WHERE last_used_at < to_timestamp($1::float8) AND last_place IS NOT NULL
), banks AS (
    UPDATE bank_medium SET last_place = NULL, last_tap = NULL, last_lat = NULL, last_lon = NULL
    WHERE last_used_at < to_timestamp($1::float8) AND last_place IS NOT NULL
)
UPDATE ticket SET last_place = NULL, last_tap = NULL, last_lat = NULL, last_lon = NULL, device_key = NULL
WHERE valid_until < to_timestamp($1::float8) AND (last_place IS NOT NULL OR device_key IS NOT NULL);

-- name: forget_letters
-- Forget dead letters and the counts of their days before $1.
WITH counts AS (DELETE FROM dead_letter_count WHERE day < to_timestamp($1::float8)::date)
DELETE FROM dead_letter WHERE received_at < to_timestamp($1::float8);

-- name: forget_boots
-- Forget how far validators' boots had got, and by how much their clocks were wrong, once they have been silent since $1.
WITH silent AS (DELETE FROM validator_progress WHERE updated_at < to_timestamp($1::float8))
DELETE FROM validator_clock c
WHERE c.seen_at < to_timestamp($1::float8) AND NOT EXISTS (
    SELECT FROM validator_progress p
    WHERE p.operator = c.operator AND p.device = c.device AND p.boot = c.boot AND p.updated_at >= to_timestamp($1::float8)
);

-- name: ask
-- Ask for the trips of an account to be forgotten; asked twice, it is one request.
INSERT INTO erasure (account, asked_by) VALUES ($1, $2)
ON CONFLICT (account) WHERE done_at IS NULL DO UPDATE SET asked_by = erasure.asked_by RETURNING id;

-- name: asked
-- The requests that have not been met.
SELECT id, account, extract(epoch FROM asked_at)::float8 AS asked_at FROM erasure WHERE done_at IS NULL ORDER BY id;

-- name: done
-- Note that a request has been met, and forget whose it was.
UPDATE erasure SET done_at = now(), account = '' WHERE id = $1;

-- name: has_trips
-- Whether an account still has trips.
SELECT EXISTS (SELECT FROM account_taps($1, '-infinity', 'infinity'));

-- name: lock_media
-- What a bank card's account is tapped with, against taps, until the end of the transaction.
SELECT key FROM bank_medium WHERE account_id = $1 ORDER BY key FOR UPDATE;

-- name: has_answers_to_come
-- Whether the acquirer has been asked something about an account that it has not answered: its token is needed for that.
SELECT EXISTS (SELECT FROM payment WHERE account_id = substr($1, 6) AND state IN ('asked', 'unclear'))
    OR EXISTS (SELECT FROM auto_top_up_order WHERE state = 'open' AND 'card:' || encode(card_uid, 'hex') = $1);

-- name: end_top_up
-- End a city card's automatic top-up.
DELETE FROM auto_top_up WHERE $1 LIKE 'card:%' AND card_uid = decode(substr($1, 6), 'hex');

-- name: know_account
-- Whether there is such an account.
SELECT CASE WHEN $1 LIKE 'card:%' THEN EXISTS (SELECT FROM card WHERE 'card:' || encode(uid, 'hex') = $1)
            ELSE EXISTS (SELECT FROM bank_account WHERE 'bank:' || id = $1) END;

-- name: owes
-- What an account still has to pay, in minor units.
SELECT CASE WHEN $1 LIKE 'card:%'
            THEN (SELECT debt_minor FROM card WHERE uid = decode(substr($1, 6), 'hex'))
            ELSE (SELECT a.unpaid_minor + coalesce((SELECT sum(c.amount_minor) FROM bank_charge c
                                                    WHERE c.account_id = a.id AND c.state IN ('debt', 'asked')), 0)
                  FROM bank_account a WHERE 'bank:' || a.id = $1) END::bigint;

-- name: card
-- Everything stored about a card, except what only the acquirer can read.
SELECT encode(c.uid, 'hex') AS uid, c.status, c.counter, c.balance_minor, c.debt_minor, c.currency, c.category, c.last_place,
       extract(epoch FROM c.last_used_at)::float8 AS last_used_at, extract(epoch FROM c.enrolled_at)::float8 AS enrolled_at,
       denied('card', c.uid) AS blocked,
       (SELECT d.reason FROM deny_entry d WHERE d.kind = 'card' AND d.medium = c.uid ORDER BY d.seq DESC LIMIT 1) AS block_reason,
       a.state AS auto_top_up, a.threshold_minor AS auto_top_up_threshold_minor, a.amount_minor AS auto_top_up_amount_minor,
       extract(epoch FROM a.set_at)::float8 AS auto_top_up_set_at,
       (SELECT json_agg(json_build_object('until', extract(epoch FROM f.until_at)::float8, 'category', f.category)
                        ORDER BY f.until_at) FROM card_category f WHERE f.card_uid = c.uid)::text AS former_categories,
       (SELECT encode(r.new_uid, 'hex') FROM card_replacement r WHERE r.old_uid = c.uid) AS replaced_by,
       (SELECT encode(r.old_uid, 'hex') FROM card_replacement r WHERE r.new_uid = c.uid) AS replaces
FROM card c LEFT JOIN auto_top_up a ON a.card_uid = c.uid WHERE 'card:' || encode(c.uid, 'hex') = $1;

-- name: bank
-- Everything stored about a bank card's account, except what only the acquirer can read.
SELECT id, blocked, unpaid_minor, extract(epoch FROM made_at)::float8 AS made_at,
       extract(epoch FROM verified_at)::float8 AS verified_at
FROM bank_account WHERE 'bank:' || id = $1;

-- name: trips
-- The trips of an account, oldest first.
SELECT t.id::text, t.operator, t.device, extract(epoch FROM t.taken_at)::float8 AS taken_at,
       extract(epoch FROM t.received_at)::float8 AS received_at, t.vehicle, t.route_id, t.direction_id, t.stop_id, t.lat, t.lon,
       t.verdict::text, t.reason, t.charged_minor, t.currency, t.riders, t.ticket_id::text
FROM account_taps($1, '-infinity', 'infinity') t LIMIT $2;

-- name: tickets
-- The tickets on a card.
SELECT id::text, product_id, status, extract(epoch FROM valid_from)::float8 AS valid_from,
       extract(epoch FROM valid_until)::float8 AS valid_until, uses, uses_allowed, price_minor, currency,
       extract(epoch FROM sold_at)::float8 AS sold_at
FROM ticket WHERE 'card:' || encode(card_uid, 'hex') = $1 ORDER BY sold_at;

-- name: ratings
-- The rated days of an account with their reasons.
SELECT service_date::text AS day, version, total_minor, rating::text FROM day_rating WHERE account = $1 ORDER BY service_date;

-- name: transfers
-- What was booked on the ledger accounts of one rider's account.
SELECT extract(epoch FROM at)::float8 AS at, kind, debit, credit, amount_minor, currency FROM transfer
WHERE $1 IN (debit, credit) OR $2 IN (debit, credit) ORDER BY id LIMIT $3;

-- name: charges
-- What was charged to a bank card.
SELECT id, day::text, reason, amount_minor, currency, state, extract(epoch FROM made_at)::float8 AS made_at
FROM bank_charge WHERE 'bank:' || account_id = $1 ORDER BY made_at;

-- name: cut_bank
-- Cut a bank account from its cards: the readers' tokens and the PAR are forgotten.
WITH media AS (
    DELETE FROM bank_medium WHERE account_id = $1
), asked AS (
    UPDATE payment SET token = '' WHERE account_id = $1 AND token IS NOT NULL
)
UPDATE bank_account SET par = NULL, token = '' WHERE id = $1;

-- name: cut_card
-- Cut a city card from the bank cards that topped it up: their tokens are forgotten, unless a question is still open.
UPDATE payment p SET token = '' FROM auto_top_up_order o
WHERE p.top_up_id = o.id AND o.state <> 'open' AND o.card_uid = decode(substr($1, 6), 'hex');
