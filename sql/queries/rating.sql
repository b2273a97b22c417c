-- name: keep_edition
-- A tariff that is in use now; one that was in use before keeps its number and its time.
WITH made AS (
    INSERT INTO tariff_edition (version, digest, file, content, feed, used_from)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp())
    ON CONFLICT (digest) DO UPDATE SET file = excluded.file
    RETURNING id, used_from
)
SELECT id, extract(epoch FROM used_from)::float8 AS used_from_s FROM made;

-- name: editions
-- The tariffs that were in use, newest first, without one of them.
SELECT id, file, content, feed, extract(epoch FROM used_from)::float8 AS used_from_s
FROM tariff_edition WHERE digest <> $1 ORDER BY used_from DESC, id DESC LIMIT $2;

-- name: edition
-- What one tariff that was in use was read from.
SELECT file, content, feed FROM tariff_edition WHERE id = $1;

-- name: due_accounts
-- Accounts with taps that no rating holds yet, in the order of their names after $1, at most $2: one look into the
-- index for each, however many taps they have.
WITH RECURSIVE found (account, n) AS (
    (SELECT account, 1 FROM tap WHERE rating_due AND account > $1 ORDER BY account LIMIT 1)
    UNION ALL
    SELECT (SELECT t.account FROM tap t WHERE t.rating_due AND t.account > f.account ORDER BY t.account LIMIT 1), n + 1
    FROM found f WHERE f.account IS NOT NULL AND n < $2
)
SELECT account FROM found WHERE account IS NOT NULL;

-- name: waiting_accounts
-- Accounts with days to be rated anew by $1 (Unix seconds), since somebody inside should have left or what is held was
-- changed; each once, at most $2.
SELECT account FROM day_rating WHERE again_at <= to_timestamp($1::float8)
GROUP BY account ORDER BY min(again_at), account LIMIT $2;

-- name: oldest_due
-- When the oldest tap that waits for its rating came in, and how many wait (both of the first 100,000).
SELECT extract(epoch FROM min(received_at))::float8 AS received_s, count(*) AS taps
FROM (SELECT received_at FROM tap WHERE rating_due LIMIT 100000) due;

-- name: owe
-- Rides on cards that a validator let happen and we refuse are to be rated, each once, where only the money or a ticket
-- on the card was wanting ($4: without the money too), or the card was blocked by nobody when they were made; $1 to $3
-- go together. Who rides on a card that was blocked before is not its holder.
UPDATE tap t SET rating_due = true, flags = array_append(coalesce(t.flags, '{}'), 'owed')
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS n (operator, device, id)
WHERE t.operator = n.operator AND t.device = n.device AND t.id = n.id AND t.conflict
      AND NOT t.rating_due AND NOT 'owed' = ANY (coalesce(t.flags, '{}'))
      AND CASE t.verdict
          WHEN 'insufficient_funds' THEN $4
          WHEN 'denied' THEN true
          ELSE t.ticket_id IS NOT NULL AND EXISTS (SELECT FROM card c WHERE c.uid = t.card_uid AND c.status = 'active')
      END
      AND (t.verdict = 'insufficient_funds'
           OR coalesce((SELECT d.removed FROM deny_entry d
                        WHERE d.kind = 'card' AND d.medium = t.card_uid AND d.reason <> 'offline_conflict'
                              AND d.at <= tap_at(t) ORDER BY d.seq DESC LIMIT 1), true))
RETURNING t.id;

-- name: try_lock
-- Of some accounts those that nobody else rates now; held to the end of the transaction.
SELECT account FROM unnest($1::text[]) AS asked (account)
WHERE pg_try_advisory_xact_lock(hashtextextended('takt account ' || account, 0));

-- name: lock_cards
-- The cards among the accounts, locked as the judge locks them: by uid.
SELECT uid, balance_minor, debt_minor, category, currency FROM card WHERE uid = ANY ($1) ORDER BY uid FOR NO KEY UPDATE;

-- name: lock_tickets
-- The tickets on these cards, locked as the judge locks them: after the cards, by id.
SELECT id FROM ticket WHERE card_uid = ANY ($1) ORDER BY id FOR NO KEY UPDATE;

-- name: due_taps
-- What no rating holds yet of some accounts, when each was taken as the judge took it, and the ticket that has brought it.
SELECT t.account, t.operator, t.device, t.id, t.vehicle, t.stop_id, t.route_id, t.direction_id,
       CASE WHEN t.verdict = 'accepted' THEN t.ticket_id END AS ticket_id,
       coalesce(t.charged_minor, 0) AS paid_minor,
       extract(epoch FROM tap_at(t))::float8 AS at_s
FROM tap t WHERE t.rating_due AND t.account = ANY ($1) ORDER BY t.account, t.received_at, t.id LIMIT $2;

-- name: days
-- The rated days of accounts from a date on, or from an earlier one that waits for somebody to leave, with the last one
-- before it; $1 and $2 go together.
SELECT d.account, d.service_date, d.version, d.tariff_id, d.rating, d.taps,
       extract(epoch FROM d.again_at)::float8 AS again_at_s
FROM (
    SELECT g.account, least(g.since, (SELECT min(w.service_date) FROM day_rating w
                                      WHERE w.account = g.account AND w.again_at IS NOT NULL)) AS since
    FROM unnest($1::text[], $2::date[]) AS g (account, since)
) asked
CROSS JOIN LATERAL (
    SELECT * FROM day_rating r WHERE r.account = asked.account AND r.service_date >= asked.since
    UNION ALL
    (SELECT * FROM day_rating r WHERE r.account = asked.account AND r.service_date < asked.since
     ORDER BY r.service_date DESC LIMIT 1)
) d ORDER BY d.account, d.service_date;

-- name: tickets
-- The tickets on some cards as a rating needs them: one that was taken back held until then, and for no more rides than
-- it had brought by then where money was given for it.
SELECT card_uid, id, product_id, extract(epoch FROM valid_from)::float8 AS from_s,
       extract(epoch FROM CASE WHEN status = 'valid' THEN valid_until WHEN uses_kept = 0 THEN valid_from
                               ELSE least(valid_until, coalesce(status_at, valid_from)) END)::float8 AS until_s,
       uses, CASE WHEN uses_allowed > 0 THEN coalesce(uses_kept, uses_allowed) END AS uses_allowed, networks,
       status = 'valid' AS usable
FROM ticket WHERE card_uid = ANY ($1) AND valid_until > to_timestamp($2::float8) ORDER BY card_uid, valid_until, id;

-- name: riders
-- Of some cards those whose holder had another category before, or which took another card's place or gave way to one,
-- and what of that still counts.
SELECT c.uid,
       (SELECT json_agg(json_build_array(extract(epoch FROM f.until_at)::float8, f.category) ORDER BY f.until_at)
        FROM card_category f WHERE f.card_uid = c.uid)::text AS former,
       handed_on(c.uid)::text AS handed_on, EXISTS (SELECT FROM card_replacement r WHERE r.old_uid = c.uid) AS replaced
FROM card c
WHERE c.uid = ANY ($1) AND (EXISTS (SELECT FROM card_category f WHERE f.card_uid = c.uid)
                            OR EXISTS (SELECT FROM card_replacement r WHERE c.uid IN (r.old_uid, r.new_uid)));

-- name: quoted
-- All that a price needs, in one look: the card's booked taps, its categories, what a card before handed on, its days
-- since a date with the last one before, what is due since an instant, and its tickets. $1 uids, $2 accounts and $3 dates
-- go together; $4 Unix seconds.
SELECT asked.account, c.taps, c.category,
       (SELECT json_agg(json_build_array(extract(epoch FROM f.until_at)::float8, f.category) ORDER BY f.until_at)
        FROM card_category f WHERE f.card_uid = c.uid)::text AS former,
       CASE WHEN EXISTS (SELECT FROM card_replacement r WHERE r.new_uid = c.uid) THEN handed_on(c.uid) END::text AS handed_on,
       (SELECT json_agg(json_build_object(
            'day', d.service_date, 'version', d.version, 'edition', d.tariff_id, 'rating', d.rating, 'taps', d.taps,
            'again_at_s', extract(epoch FROM d.again_at)::float8) ORDER BY d.service_date)
        FROM (
            SELECT * FROM day_rating r WHERE r.account = asked.account AND r.service_date >= asked.since
            UNION ALL
            (SELECT * FROM day_rating r WHERE r.account = asked.account AND r.service_date < asked.since
             ORDER BY r.service_date DESC LIMIT 1)
        ) d)::text AS days,
       (SELECT json_agg(json_build_object(
            'operator', t.operator, 'device', t.device, 'id', t.id, 'vehicle', t.vehicle, 'stop_id', t.stop_id,
            'route_id', t.route_id, 'direction_id', t.direction_id,
            'ticket_id', CASE WHEN t.verdict = 'accepted' THEN t.ticket_id END, 'paid_minor', coalesce(t.charged_minor, 0),
            'at_s', extract(epoch FROM t.at)::float8))
        FROM (
            SELECT u.*, tap_at(u) AS at FROM tap u WHERE u.rating_due AND u.account = asked.account
                                  AND u.received_at >= to_timestamp($4::float8)
            ORDER BY u.received_at LIMIT 500
        ) t)::text AS due,
       (SELECT json_agg(json_build_object(
            'id', k.id, 'product', k.product_id, 'from_s', extract(epoch FROM k.valid_from)::float8,
            'until_s', extract(epoch FROM CASE WHEN k.status = 'valid' THEN k.valid_until
                                          WHEN k.uses_kept = 0 THEN k.valid_from
                                          ELSE least(k.valid_until, coalesce(k.status_at, k.valid_from)) END)::float8,
            'uses', k.uses, 'uses_allowed', CASE WHEN k.uses_allowed > 0 THEN coalesce(k.uses_kept, k.uses_allowed) END,
            'networks', k.networks,
            'usable', k.status = 'valid') ORDER BY k.valid_until, k.id)
        FROM ticket k WHERE k.card_uid = c.uid AND k.valid_until > to_timestamp($4))::text AS tickets
FROM unnest($1::bytea[], $2::text[], $3::date[]) AS asked (uid, account, since)
JOIN card c ON c.uid = asked.uid;

-- name: post
-- What ratings changed, into the ledger; each under a name of its own, so that it is there once.
INSERT INTO transfer (kind, debit, credit, amount_minor, currency, card_uid, tap_id, made_by, rated)
SELECT kind, debit, credit, amount_minor, currency, card_uid, tap_id, 'rating', rated
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::uuid[], $8::text[])
    AS posted (kind, debit, credit, amount_minor, currency, card_uid, tap_id, rated);

-- name: set_purses
-- Purses and debts of cards that are locked, after their transfers.
UPDATE card c SET balance_minor = n.balance_minor, debt_minor = n.debt_minor
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS n (uid, balance_minor, debt_minor) WHERE c.uid = n.uid;

-- name: set_uses
-- Rides taken from tickets, or given back to them.
UPDATE ticket t SET uses = greatest(0, least(t.uses + n.change, t.uses_allowed))
FROM unnest($1::uuid[], $2::integer[]) AS n (id, change) WHERE t.id = n.id;

-- name: store_days
-- Days as they are rated now; how many were stored: a version that is there already is somebody else's.
WITH given AS (
    SELECT * FROM unnest($1::text[], $2::date[], $3::integer[], $4::integer[], $5::bigint[], $6::text[], $7::text[],
                         $8::float8[])
        AS g (account, service_date, version, tariff_id, total_minor, rating, taps, again_at_s)
), stored AS (
    INSERT INTO day_rating AS d (account, service_date, version, tariff_id, total_minor, rating, taps, again_at)
    SELECT account, service_date, version, tariff_id, total_minor, rating::jsonb, taps::jsonb, to_timestamp(again_at_s)
    FROM given
    ON CONFLICT (account, service_date) DO UPDATE SET
        version = excluded.version, tariff_id = excluded.tariff_id, total_minor = excluded.total_minor,
        rating = excluded.rating, taps = excluded.taps, again_at = excluded.again_at, rated_at = now()
    WHERE d.version = excluded.version - 1
    RETURNING 1
)
SELECT count(*) FROM stored;

-- name: look_again
-- Days of a card from a date on are rated anew at $3 (Unix seconds), since what it holds was changed for them. Called
-- with the card locked, so that no rating under way, which knows of no change, comes after this.
UPDATE day_rating SET again_at = least(again_at, to_timestamp($3::float8)) WHERE account = $1 AND service_date >= $2;

-- name: set_rated
-- Taps that a rating holds now.
UPDATE tap t SET rating_due = false
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS n (operator, device, id)
WHERE t.operator = n.operator AND t.device = n.device AND t.id = n.id AND t.rating_due;

-- name: settle_debt
-- Takes what a card owes from its purse, as far as that goes: how much that was; the card is locked by it.
WITH before AS (
    SELECT uid, least(balance_minor, debt_minor) AS amount_minor, currency FROM card
    WHERE uid = $1 AND debt_minor > 0 AND balance_minor > 0 FOR NO KEY UPDATE
)
UPDATE card c SET balance_minor = c.balance_minor - b.amount_minor, debt_minor = c.debt_minor - b.amount_minor
FROM before b WHERE c.uid = b.uid RETURNING b.amount_minor, b.currency;

-- name: owed_for_day
-- What a card ($1 its account, $3 its debt's, $4 its uid) still owes for a day ($2, as text): what was paid of its debts
-- paid the oldest days first. Found by the names of what ratings posted, account/day/version/number.
SELECT greatest(0, least(p.day_minor, c.debt_minor - p.later_minor))::bigint
FROM card c, LATERAL (
    SELECT coalesce(sum(m.minor) FILTER (WHERE m.of_day), 0) AS day_minor,
           coalesce(sum(m.minor) FILTER (WHERE NOT m.of_day), 0) AS later_minor
    FROM (SELECT rated < $1 || '/' || $2 || '0' AS of_day, CASE WHEN debit = $3 THEN amount_minor ELSE -amount_minor END AS minor
          FROM transfer
          WHERE rated >= $1 || '/' || $2 AND rated < $1 || '0' AND tap_id IS NOT NULL AND $3 IN (debit, credit)) m
) p WHERE c.uid = $4 AND c.debt_minor > 0;

-- name: debt_differences
-- Cards whose debt is not the sum of its transfers: none, or the books are wrong.
SELECT c.uid, c.debt_minor, coalesce(s.sum, 0) AS booked_minor
FROM card c LEFT JOIN (
    SELECT card_uid, sum(CASE WHEN debit LIKE 'debt:%' THEN amount_minor ELSE -amount_minor END)::bigint AS sum
    FROM transfer WHERE card_uid IS NOT NULL AND (debit LIKE 'debt:%' OR credit LIKE 'debt:%') GROUP BY card_uid
) s ON s.card_uid = c.uid
WHERE c.debt_minor <> coalesce(s.sum, 0) LIMIT 100;

-- name: day
-- A rated day with the id of its receipt.
SELECT account, service_date, version, tariff_id, rating, receipt_id, extract(epoch FROM rated_at)::float8 AS rated_at_s
FROM day_rating WHERE account = $1 AND service_date = $2;

-- name: day_of_receipt
-- The rated day whose receipt has this id.
SELECT account, service_date, version, tariff_id, rating, receipt_id, extract(epoch FROM rated_at)::float8 AS rated_at_s
FROM day_rating WHERE receipt_id = $1;

-- name: taps_of_day
-- What was charged for an account's accepted taps between two instants, as each was told at once.
SELECT t.id, t.operator, t.device, t.stop_id, t.route_id, k.product_id, coalesce(t.charged_minor, 0) AS charged_minor,
       extract(epoch FROM t.taken_at)::float8 AS at_s
FROM account_taps($1, to_timestamp($2::float8), to_timestamp($3::float8)) t LEFT JOIN ticket k ON k.id = t.ticket_id
WHERE t.verdict = 'accepted' ORDER BY t.taken_at, t.id LIMIT 1000;

-- name: account_exists
-- Whether a card is enrolled here, and what is in its purse and owed.
SELECT balance_minor, debt_minor, category FROM card WHERE uid = $1;

-- name: bank_account_exists
-- Whether there is a bank card's account of this name, bank:<id>, or a day of it.
SELECT EXISTS (SELECT FROM bank_account WHERE id = substr($1, 6)) OR EXISTS (SELECT FROM day_rating WHERE account = $1);

-- name: set_category
-- The category of a card's holder from an instant on ($3, Unix seconds), whatever was said of later times before; what it
-- was until then is kept. The card is locked.
WITH later AS (
    DELETE FROM card_category WHERE card_uid = $1 AND until_at > to_timestamp($3::float8) RETURNING until_at, category
), was AS (
    SELECT category FROM (SELECT until_at, category FROM later UNION ALL SELECT 'infinity', category FROM card WHERE uid = $1) f
    ORDER BY until_at LIMIT 1
), kept AS (
    INSERT INTO card_category (card_uid, until_at, category)
    SELECT $1, to_timestamp($3), category FROM was WHERE category IS DISTINCT FROM $2
    ON CONFLICT DO NOTHING
)
UPDATE card SET category = $2 WHERE uid = $1;

-- name: trips_held
-- Trips bought ahead that are left on a card which is locked by this.
SELECT (SELECT coalesce(sum(t.uses_allowed - t.uses), 0)::integer FROM ticket t
        WHERE t.card_uid = c.uid AND t.product_id = $2 AND t.status = 'valid' AND t.valid_until > to_timestamp($3::float8))
FROM card c WHERE c.uid = $1 FOR NO KEY UPDATE;
