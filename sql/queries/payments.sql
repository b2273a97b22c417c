-- name: insert
-- An operation at the acquirer, before it is asked; nothing where its key is known.
INSERT INTO payment (key, kind, account_id, charge_id, purchase_id, token, refunds, amount_minor, currency, next_at, made_at,
                     top_up_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, to_timestamp($10::float8), to_timestamp($10::float8), $11)
ON CONFLICT (key) DO NOTHING;

-- name: list_due
-- The operations to be asked now, those that have waited longest first.
SELECT key FROM payment WHERE state = 'asked' AND next_at <= to_timestamp($1::float8) ORDER BY next_at LIMIT $2;

-- name: take
-- Take one operation to ask it; until $3 nobody else does. Nothing where it is answered or in somebody's hands.
UPDATE payment SET asks = asks + 1, next_at = to_timestamp($3::float8)
WHERE key = $1 AND state = 'asked' AND next_at <= to_timestamp($2::float8)
RETURNING key, kind, amount_minor, currency, token, refunds, account_id, charge_id, purchase_id, top_up_id;

-- name: lock
-- How far one operation has come, held until the end of the transaction.
SELECT state, asks FROM payment WHERE key = $1 FOR UPDATE;

-- name: settle
-- Store the acquirer's answer.
UPDATE payment SET state = $2, done_at = to_timestamp($3::float8), acquirer_id = $4, reason = $5 WHERE key = $1;

-- name: postpone
-- There was no answer: ask again at an instant, or (unclear) only when a person wants it.
UPDATE payment SET state = $2, next_at = to_timestamp($3::float8), reason = $4 WHERE key = $1 AND state = 'asked';

-- name: book
-- The ledger's line of a payment; a second one for its key is refused by the table.
INSERT INTO transfer (kind, debit, credit, amount_minor, currency, ticket_id, made_by, payment_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: insert_purchase
-- A purchase that is about to be paid; nothing where the client's key is known.
INSERT INTO purchase (id, client_key, request_hash, product_id, product, price_minor, currency, start_s, device_key, made_at)
VALUES ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9::text::jsonb, to_timestamp($10::float8))
ON CONFLICT (client_key) DO NOTHING RETURNING id;

-- name: find_purchase
-- The purchase under a client's key.
SELECT id, request_hash FROM purchase WHERE client_key = $1;

-- name: get_purchase
-- One purchase.
SELECT id, product_id, product::text, price_minor, currency, state, reason, ticket_id,
       extract(epoch FROM made_at)::float8 AS made_at, extract(epoch FROM done_at)::float8 AS done_at
FROM purchase WHERE id = $1;

-- name: lock_purchase
-- One purchase, held until the end of the transaction.
SELECT id, product::text, start_s, device_key::text, state, extract(epoch FROM made_at)::float8 AS made_s
FROM purchase WHERE id = $1 FOR UPDATE;

-- name: settle_purchase
-- Store what became of a purchase.
UPDATE purchase SET state = $2, reason = $3, ticket_id = $4, acquirer_id = $5, done_at = to_timestamp($6::float8) WHERE id = $1;

-- name: return_purchase
-- The purchase of a ticket that is given back, with what it takes to give its price back.
UPDATE purchase SET state = 'returned' WHERE ticket_id = $1 AND state = 'approved'
RETURNING id, acquirer_id;

-- name: note_refund_declined
-- The money of a ticket that was given back is still with us: why its bank would not take it.
UPDATE purchase SET reason = $2 WHERE id = $1 RETURNING ticket_id;

-- name: list_refunds_owed
-- Refunds of tickets that no bank has taken, the oldest first: what is still owed of them, or all of an unclear one.
SELECT u.ticket_id::text AS ticket_id, u.id AS purchase_id, u.product_id,
       CASE WHEN p.state = 'unclear' THEN p.amount_minor ELSE o.minor END AS amount_minor, p.currency,
       CASE WHEN p.state = 'unclear' THEN 'unclear' ELSE 'owed' END AS state, p.reason,
       extract(epoch FROM coalesce(p.done_at, p.made_at))::float8 AS since
FROM payment p JOIN purchase u ON u.id = p.purchase_id CROSS JOIN LATERAL (
    SELECT coalesce(sum(CASE WHEN t.credit = 'refunds_owed' THEN t.amount_minor ELSE -t.amount_minor END), 0)::bigint AS minor
    FROM transfer t WHERE t.ticket_id = u.ticket_id AND 'refunds_owed' IN (t.debit, t.credit)
) o
WHERE p.kind = 'refund' AND p.state IN ('declined', 'unclear') AND (p.state = 'unclear' OR o.minor > 0)
ORDER BY since, p.key LIMIT $1;

-- name: unclear_refund
-- The refund of a ticket that nobody but the acquirer's statement can say the end of, held until the end of the transaction.
SELECT p.key, p.amount_minor, p.currency, p.reason FROM purchase u JOIN payment p ON p.purchase_id = u.id
WHERE u.ticket_id = $1 AND p.kind = 'refund' AND p.state = 'unclear' FOR UPDATE OF p;
