-- name: judge
-- One round trip for a batch of taps of bank cards (see migration 0016_bank_elsewhere): a row for each, then their boots'
-- receipts.
SELECT j.*, NULL AS operator, NULL AS device, NULL AS boot, NULL::bigint AS through
FROM judge_bank_taps($1, $2, $3, $4, $5, $6, $7) j
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, m.* FROM mark_answered($8, $9, $10, $11) m;

-- name: lock_account
-- One account, held until the end of the transaction.
SELECT id, token, blocked, verified_at IS NOT NULL AS verified, unpaid_minor, tries,
       extract(epoch FROM recovered_at)::float8 AS recovered_at, extract(epoch FROM recover_at)::float8 AS recover_at
FROM bank_account WHERE id = $1 FOR NO KEY UPDATE;

-- name: get_account
-- One account as a cashier sees it.
SELECT a.id, a.blocked, a.verified_at IS NOT NULL AS verified, a.unpaid_minor,
       extract(epoch FROM a.made_at)::float8 AS made_at, extract(epoch FROM a.recover_at)::float8 AS next_try_at,
       (SELECT count(*) FROM bank_medium m WHERE m.account_id = a.id) AS media,
       (SELECT coalesce(sum(c.amount_minor), 0)::bigint FROM bank_charge c
        WHERE c.account_id = a.id AND c.state = 'debt') AS debt_minor
FROM bank_account a WHERE a.id = $1;

-- name: find_account
-- The account to which a token belongs, by the token's hash.
SELECT account_id FROM bank_medium WHERE key = $1;

-- name: inspect
-- What a controller sees of a bank card at his reader, by the token's hash: may it ride, and its own last accepted tap.
SELECT CASE WHEN a.blocked IS NOT NULL OR denied('bank', m.key) THEN 'denied' ELSE 'accepted' END::verdict AS verdict,
       NULL::uuid AS ticket_id, NULL::text AS product_id, NULL::float8 AS valid_until, NULL::integer AS uses,
       NULL::integer AS uses_allowed, NULL::bigint AS balance_minor, NULL::text AS currency,
       extract(epoch FROM m.last_used_at)::float8 AS last_used_at, m.last_place
FROM bank_medium m JOIN bank_account a ON a.id = m.account_id WHERE m.key = $1;

-- name: list_charges
-- The newest charges of an account with what of each has been given back.
SELECT c.id, c.day, c.reason, c.amount_minor, c.currency, c.state, c.note, extract(epoch FROM c.made_at)::float8 AS made_at,
       extract(epoch FROM c.done_at)::float8 AS done_at, c.gives_back,
       (SELECT coalesce(array_agg(t.tap_id ORDER BY t.tap_id), '{}') FROM bank_charge_tap t WHERE t.charge_id = c.id) AS taps
FROM bank_charge c WHERE c.account_id = $1 ORDER BY c.made_at DESC, c.gives_back IS NULL, c.id LIMIT 50;

-- name: list_days_due
-- Days of accounts whose debits are due for a look, the longest overdue first.
SELECT account_id, day FROM bank_day WHERE look_at <= to_timestamp($1::float8) ORDER BY look_at LIMIT $2;

-- name: lock_day
-- A day that is still due for a look, locked.
SELECT waiting::text FROM bank_day WHERE account_id = $1 AND day = $2 AND look_at <= to_timestamp($3::float8) FOR UPDATE;

-- name: get_rating
-- A rated day, and under which edition of the tariff.
SELECT rating::text, tariff_id FROM day_rating WHERE account = 'bank:' || $1 AND service_date = $2;

-- name: get_waiting
-- The trips that a day left for the next one.
SELECT waiting::text FROM bank_day WHERE account_id = $1 AND day = $2;

-- name: taken
-- What has been taken for taps so far: the charges that count, by tap.
SELECT t.tap_id, sum(t.minor)::bigint AS minor
FROM bank_charge_tap t JOIN bank_charge c ON c.id = t.charge_id
WHERE c.account_id = $1 AND t.tap_id = ANY ($2) AND c.state <> 'void' GROUP BY t.tap_id;

-- name: paid_for_taps
-- What was charged for taps of an account, less what was given back, and what of their charges was declined.
SELECT coalesce(sum(t.minor) FILTER (WHERE c.state = 'paid'), 0)::bigint AS charged_minor,
       coalesce(sum(t.minor) FILTER (WHERE c.state = 'debt'), 0)::bigint AS owed_minor
FROM bank_charge_tap t JOIN bank_charge c ON c.id = t.charge_id
WHERE c.account_id = $1 AND t.tap_id = ANY ($2);

-- name: charges_of_taps
-- The charges that took something for taps, newest first, with what is left to give back of each.
SELECT c.id, c.state, c.amount_minor, c.acquirer_id, c.currency,
       c.amount_minor + (SELECT coalesce(sum(g.amount_minor), 0)::bigint FROM bank_charge g
                         WHERE g.gives_back = c.id AND g.state NOT IN ('void', 'declined')) AS left_minor
FROM bank_charge c
WHERE c.account_id = $1 AND c.amount_minor > 0 AND c.state <> 'void'
  AND EXISTS (SELECT FROM bank_charge_tap t WHERE t.charge_id = c.id AND t.tap_id = ANY ($2))
ORDER BY c.made_at DESC, c.id;

-- name: charges_left
-- The other charges of an account of which something is left to give back, newest first.
SELECT c.id, c.state, c.amount_minor, c.acquirer_id, c.currency, c.left_minor FROM (
    SELECT b.*, b.amount_minor + (SELECT coalesce(sum(g.amount_minor), 0)::bigint FROM bank_charge g
                                  WHERE g.gives_back = b.id AND g.state NOT IN ('void', 'declined')) AS left_minor
    FROM bank_charge b
    WHERE b.account_id = $1 AND b.amount_minor > 0 AND b.state = 'paid'
      AND NOT EXISTS (SELECT FROM bank_charge_tap t WHERE t.charge_id = b.id AND t.tap_id = ANY ($2))
) c WHERE c.left_minor > 0 ORDER BY c.made_at DESC, c.id LIMIT 50;

-- name: has_asked
-- Whether the acquirer has yet to answer to a charge of an account.
SELECT EXISTS (SELECT FROM bank_charge WHERE account_id = $1 AND state = 'asked' AND amount_minor > 0);

-- name: count_charges_of_taps
-- How many charges there have been for taps, void ones too.
SELECT count(DISTINCT c.id) FROM bank_charge c JOIN bank_charge_tap t ON t.charge_id = c.id
WHERE c.account_id = $1 AND t.tap_id = ANY ($2);

-- name: insert_charge
-- A charge, or money to be given back of one.
INSERT INTO bank_charge (id, account_id, day, reason, amount_minor, currency, due_at, made_at, gives_back, note)
VALUES ($1, $2, $3, $4, $5, $6, to_timestamp($7::float8), to_timestamp($8::float8), $9, $10);

-- name: insert_charge_taps
-- What of a charge is for which tap.
INSERT INTO bank_charge_tap (charge_id, tap_id, minor) SELECT $1, * FROM unnest($2::text[], $3::bigint[]);

-- name: set_charge
-- What has become of a charge.
UPDATE bank_charge SET state = $2, done_at = to_timestamp($3::float8), acquirer_id = coalesce($4, acquirer_id)
WHERE id = $1 RETURNING account_id, day, amount_minor, currency, reason;

-- name: get_charge
-- A charge of an account, held until the end of the transaction, with what is left to give back of it.
SELECT c.id, c.account_id, c.day, c.state, c.amount_minor, c.currency, c.acquirer_id, c.reason,
       (SELECT count(*) FROM payment p WHERE p.charge_id = c.id) AS payments,
       (SELECT count(*) FROM bank_charge g WHERE g.gives_back = c.id) AS refunds,
       c.amount_minor + (SELECT coalesce(sum(g.amount_minor), 0)::bigint FROM bank_charge g
                         WHERE g.gives_back = c.id AND g.state NOT IN ('void', 'declined')) AS left_minor
FROM bank_charge c WHERE c.id = $1 FOR NO KEY UPDATE OF c;

-- name: set_day
-- What a day was rated at, what it leaves for the next, and when to look again.
UPDATE bank_day SET rated_minor = $3, waiting = $4::text::jsonb, look_at = to_timestamp($5::float8)
WHERE account_id = $1 AND day = $2;

-- name: postpone_day
-- Look at a day later.
UPDATE bank_day SET look_at = to_timestamp($3::float8) WHERE account_id = $1 AND day = $2;

-- name: look_at_day
-- Look at a day, at the latest at an instant.
INSERT INTO bank_day AS d (account_id, day, look_at) VALUES ($1, $2, to_timestamp($3::float8))
ON CONFLICT (account_id, day) DO UPDATE SET look_at = least(d.look_at, excluded.look_at);

-- name: look_at_days_of_charge
-- Look at the days whose trips a charge may be for: its own, and the one before, whose last trip may have waited for it.
UPDATE bank_day d SET look_at = least(d.look_at, to_timestamp($2::float8)) FROM bank_charge c
WHERE c.id = $1 AND d.account_id = c.account_id AND d.day IN (c.day, c.day - 1);

-- name: set_unpaid
-- What an account owes for rides that no charge has asked for: rated days, less charges, and taps not rated yet at $2 each.
UPDATE bank_account a SET unpaid_minor = greatest(0,
    (SELECT coalesce(sum(d.rated_minor), 0) FROM bank_day d WHERE d.account_id = a.id)
    - (SELECT coalesce(sum(c.amount_minor), 0) FROM bank_charge c
       WHERE c.account_id = a.id AND c.state IN ('paid', 'debt') AND c.reason <> 'cashier')
    + $2::bigint * (SELECT count(*) FROM tap t WHERE t.account = 'bank:' || a.id AND t.rating_due))
WHERE a.id = $1;

-- name: block
-- Block an account, and put all its media on the deny list.
UPDATE bank_account SET blocked = $2 WHERE id = $1 AND blocked IS DISTINCT FROM $2;

-- name: unblock
-- Let an account ride again.
UPDATE bank_account SET blocked = NULL, recover_at = NULL WHERE id = $1;

-- name: deny_media
-- Put the media of an account on the deny list, or take them off it.
SELECT deny_bank_account($1, $2, $3);

-- name: verified
-- The card is real.
UPDATE bank_account SET verified_at = to_timestamp($2::float8) WHERE id = $1;

-- name: has_debt
-- Whether an account owes for a charge that was declined.
SELECT EXISTS (SELECT FROM bank_charge WHERE account_id = $1 AND state = 'debt');

-- name: has_unclear
-- Whether nobody has ever answered about something of an account.
SELECT EXISTS (SELECT FROM payment WHERE account_id = $1 AND state = 'unclear');

-- name: list_debts
-- The declined charges of an account that nothing is being asked for, oldest first, with how often each was asked for.
SELECT c.id, c.amount_minor, c.currency, (SELECT count(*) FROM payment p WHERE p.charge_id = c.id) AS payments
FROM bank_charge c
WHERE c.account_id = $1 AND c.state = 'debt'
  AND NOT EXISTS (SELECT FROM payment p WHERE p.charge_id = c.id AND p.state IN ('asked', 'unclear'))
ORDER BY c.made_at, c.id;

-- name: list_recoveries_due
-- Accounts whose debts are to be asked for again.
SELECT id FROM bank_account WHERE recover_at <= to_timestamp($1::float8) ORDER BY recover_at LIMIT $2;

-- name: set_recovery
-- When debts are asked for next (null: only when somebody asks), and whether they were asked for now.
UPDATE bank_account SET recover_at = to_timestamp($2::float8),
    recovered_at = CASE WHEN $3::float8 IS NULL THEN recovered_at ELSE to_timestamp($3) END,
    tries = tries + CASE WHEN $3 IS NULL THEN 0 ELSE 1 END
WHERE id = $1;

-- name: reopen_unclear
-- Payments of an account that nobody has answered for long are asked again, under the keys that they had.
UPDATE payment SET state = 'asked', asks = 0, next_at = to_timestamp($2::float8) WHERE account_id = $1 AND state = 'unclear';

-- name: figures
-- For /metrics: what is due, owed and unclear.
SELECT (SELECT count(*) FROM payment WHERE state = 'asked') AS payments_open,
       (SELECT count(*) FROM payment WHERE state = 'unclear') AS payments_unclear,
       (SELECT coalesce(extract(epoch FROM to_timestamp($1::float8) - min(due_at)), 0)::float8 FROM bank_charge
        WHERE state = 'asked' AND amount_minor > 0) AS oldest_due_charge_age_seconds,
       (SELECT count(*) FROM bank_charge WHERE state = 'debt') AS debts,
       (SELECT coalesce(sum(amount_minor), 0)::bigint FROM bank_charge WHERE state = 'debt') AS debts_minor,
       (SELECT count(*) FROM payment WHERE kind = 'refund' AND state = 'declined') AS refunds_declined;
