-- name: states
-- What the passengers' own devices may see of their tickets: how they stand, the last accepted tap, and what was given back.
SELECT t.id, CASE
           WHEN to_timestamp($2::float8) < t.valid_from THEN 'not_yet_valid'
           WHEN to_timestamp($2::float8) >= t.valid_until THEN 'expired'
           WHEN t.status = 'revoked' THEN 'revoked'
           WHEN t.status = 'suspended' THEN 'suspended'
           WHEN denied('ticket', uuid_send(t.id)) THEN 'denied'
           WHEN t.uses >= t.uses_allowed THEN 'used_up'
           ELSE 'accepted'
       END AS verdict,
       extract(epoch FROM t.valid_from)::float8 AS valid_from, extract(epoch FROM t.valid_until)::float8 AS valid_until,
       t.uses, t.uses_allowed, extract(epoch FROM t.last_used_at)::float8 AS last_used_at, t.last_place,
       t.currency, r.amount_minor AS refunded_minor, extract(epoch FROM r.at)::float8 AS refunded_at
FROM ticket t LEFT JOIN LATERAL (
    SELECT sum(x.amount_minor)::bigint AS amount_minor, max(x.at) AS at FROM transfer x
    WHERE x.ticket_id = t.id AND x.kind = 'refund'
) r ON true
WHERE t.id = ANY($1::uuid[]);
