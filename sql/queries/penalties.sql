-- name: insert
-- A penalty just issued.
INSERT INTO penalty (id, reference, issued_at, issued_by, operator, vehicle, route_id, reason, amount_minor, currency)
VALUES ($1, $2, to_timestamp($3::float8), $4, $5, $6, $7, $8, $9, $10);

-- name: get
-- One penalty by its reference, locked until the end of the transaction.
SELECT id, reference, extract(epoch FROM issued_at)::float8 AS issued_at, issued_by, operator, vehicle, route_id, reason,
       amount_minor, currency, state, extract(epoch FROM closed_at)::float8 AS closed_at, closed_by, note
FROM penalty WHERE reference = $1 FOR UPDATE;

-- name: close
-- Note that a penalty has been paid or taken back.
UPDATE penalty SET state = $2, closed_at = to_timestamp($3::float8), closed_by = $4, note = $5 WHERE id = $1;

-- name: list
-- The newest penalties, of one controller or (null) of all.
SELECT id, reference, extract(epoch FROM issued_at)::float8 AS issued_at, issued_by, operator, vehicle, route_id, reason,
       amount_minor, currency, state, extract(epoch FROM closed_at)::float8 AS closed_at, closed_by, note
FROM penalty WHERE $1::text IS NULL OR issued_by = $1 ORDER BY issued_at DESC LIMIT $2;

-- name: issued_transfer
-- The transfer by which a penalty was issued.
SELECT id FROM transfer WHERE kind = 'penalty' AND debit = $1;

-- name: has_tapped
-- Whether an operator's validators have ever sent a tap that is still kept.
SELECT EXISTS (SELECT FROM tap WHERE operator = $1);

-- name: taps_here
-- What was tapped on a vehicle since an instant, newest first; of media only what tells one from another at a glance.
SELECT extract(epoch FROM t.received_at)::float8 AS at, t.device, t.medium, t.verdict::text AS verdict, t.riders, t.stop_id,
       coalesce(q.product_id, CASE t.medium WHEN 'card' THEN 'purse' ELSE t.medium END) AS product_id,
       right(coalesce(encode(t.card_uid, 'hex'), t.ticket_id::text, ''), 4) AS ends_with
FROM tap t LEFT JOIN ticket q ON q.id = t.ticket_id
WHERE t.received_at >= to_timestamp($3::float8) AND t.operator = $1 AND t.vehicle = $2
ORDER BY t.received_at DESC LIMIT $4;
