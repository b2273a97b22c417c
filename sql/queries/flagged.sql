-- name: list
-- Taps received in [$1, $2) that somebody has to look at, newest first: rides that a validator let happen by itself and
-- we would have refused, and what was flagged otherwise. Of one operator, or (null) of all; $4 at most.
SELECT t.id::text AS id, extract(epoch FROM tap_at(t))::float8 AS at, extract(epoch FROM t.received_at)::float8 AS received_at,
       t.operator, t.device, t.vehicle, t.route_id, t.medium, t.verdict::text AS verdict, t.reason, t.conflict,
       coalesce(t.flags, '{}') AS flags, t.account, q.id::text AS ticket_id, q.product_id,
       t.conflict_with::text AS conflict_with,
       (SELECT sum(r.amount_minor)::bigint FROM transfer r WHERE r.ticket_id = q.id AND r.kind = 'refund') AS refunded_minor,
       q.currency,
       q.status_at IS NOT NULL AND q.status <> 'valid' AND tap_at(t) < q.status_at AS before_change
FROM tap t LEFT JOIN ticket q ON q.id = t.ticket_id
WHERE (t.conflict OR t.flags IS NOT NULL) AND t.received_at >= to_timestamp($1::float8)
      AND t.received_at < to_timestamp($2::float8) AND ($3::text IS NULL OR t.operator = $3)
ORDER BY t.received_at DESC, t.id LIMIT $4;
