-- name: headways
-- Headways measured in $1 <= at < $2 on the routes $3, in the order of their time, at most $4.
SELECT extract(epoch FROM at)::float8 AS at, vehicle, leader, trip_id, route_id, direction_id, stop_id,
       headway_s::float8 AS headway_s, scheduled_s::float8 AS scheduled_s
FROM headway
WHERE route_id = ANY($3::text[]) AND at >= to_timestamp($1::float8) AND at < to_timestamp($2::float8)
  AND service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
ORDER BY headway.at LIMIT $4;

-- name: alerts
-- Alerts that were open at some time in $1 <= t < $2, the newest first, at most $4. One that was never seen to close
-- (dispatch died before it did) counts as open for $3 seconds.
SELECT id, extract(epoch FROM opened_at)::float8 AS opened_s, extract(epoch FROM closed_at)::float8 AS closed_s,
       extract(epoch FROM acknowledged_at)::float8 AS acknowledged_s, kind, route_id,
       vehicle_id, detail::text AS detail
FROM alert_history
WHERE opened_at < to_timestamp($2::float8)
  AND coalesce(closed_at, opened_at + make_interval(secs => $3::float8)) >= to_timestamp($1::float8)
  AND service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
ORDER BY opened_at DESC, id LIMIT $4;

-- name: counts
-- How many alerts opened and how many decisions were taken in $1 <= t < $2.
SELECT (SELECT count(*) FROM alert_history
        WHERE opened_at >= to_timestamp($1::float8) AND opened_at < to_timestamp($2::float8)
          AND service_date BETWEEN to_timestamp($1)::date - 1 AND to_timestamp($2)::date + 1) AS alerts,
       (SELECT count(*) FROM decision
        WHERE decided_at >= to_timestamp($1) AND decided_at < to_timestamp($2)
          AND service_date BETWEEN to_timestamp($1)::date - 1 AND to_timestamp($2)::date + 1) AS decisions;

-- name: stringline
-- Passages of route $3 in $1 <= time < $2 with the headways measured at them, trip by trip, at most $4.
SELECT p.vehicle, p.trip_id, extract(epoch FROM p.zero_at)::float8 AS zero_s, p.stop_sequence,
       extract(epoch FROM p.arrival_at)::float8 AS arrival_s, extract(epoch FROM p.departure_at)::float8 AS departure_s,
       h.headway_s::float8 AS headway_s, h.scheduled_s::float8 AS scheduled_s
FROM passage p
LEFT JOIN headway h USING (service_date, trip_id, zero_at, vehicle, stop_sequence)
WHERE p.route_id = $3::text
  AND coalesce(p.departure_at, p.arrival_at) >= to_timestamp($1::float8)
  AND coalesce(p.departure_at, p.arrival_at) < to_timestamp($2::float8)
  AND p.service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
ORDER BY p.zero_at, p.trip_id, p.vehicle, p.stop_sequence LIMIT $4;
