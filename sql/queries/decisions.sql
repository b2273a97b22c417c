-- name: between
-- Decisions in $1 <= time < $2 (of route $3, or all), the newest first, at most $4.
SELECT id, extract(epoch FROM decided_at)::float8 AS at, route_id, direction_id, vehicle, kind, state, decided_by,
       known::text AS known
FROM decision
WHERE decided_at >= to_timestamp($1::float8) AND decided_at < to_timestamp($2::float8)
  AND service_date BETWEEN to_timestamp($1)::date - 1 AND to_timestamp($2)::date + 1
  AND ($3::text IS NULL OR route_id = $3)
ORDER BY decided_at DESC, id LIMIT $4;
