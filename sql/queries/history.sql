-- name: make_days
-- The partitions of the days from $1 to $2; those that are there stay as they are.
SELECT make_history_days($1::date, $2::date);

-- name: drop_days
-- Drops days before $1, of fixes those before $2.
SELECT drop_history_days($1::date, $2::date);

-- name: merge_passages
-- Takes over what was copied in; of a vehicle that came to a stop twice on one trip, the later one stays. What differs by
-- less than three minutes is the same passage, corrected by a position that came late.
INSERT INTO passage AS p (service_date, trip_id, zero_at, vehicle, stop_sequence, start_date, route_id, direction_id,
                          stop_id, visit, arrival_at, departure_at, due_at, frequent_s, is_peak)
SELECT DISTINCT ON (service_date, trip_id, zero_s, vehicle, stop_sequence)
       service_date, trip_id, to_timestamp(zero_s), vehicle, stop_sequence, start_date, route_id, direction_id,
       stop_id, visit, to_timestamp(arrival_s), to_timestamp(departure_s), to_timestamp(due_s), frequent_s, is_peak
FROM passage_incoming
ORDER BY service_date, trip_id, zero_s, vehicle, stop_sequence, coalesce(departure_s, arrival_s) DESC NULLS LAST
ON CONFLICT (service_date, trip_id, zero_at, vehicle, stop_sequence) DO UPDATE
SET arrival_at = excluded.arrival_at, departure_at = excluded.departure_at
WHERE coalesce(excluded.departure_at, excluded.arrival_at)
      > coalesce(p.departure_at, p.arrival_at) - interval '3 minutes';

-- name: merge_headways
-- Headways of the departures that came in and of those right behind them, up to $1 seconds.
-- Whatever the order in which departures become known, each ends with the one before it as its leader.
WITH own AS (
    SELECT DISTINCT p.service_date, p.trip_id, p.zero_at, p.vehicle, p.stop_sequence, p.route_id, p.direction_id,
           p.stop_id, p.visit, p.departure_at, p.due_at, p.frequent_s, p.is_peak
    FROM passage_incoming i
    JOIN passage p ON p.service_date = i.service_date AND p.trip_id = i.trip_id AND p.zero_at = to_timestamp(i.zero_s)
                  AND p.vehicle = i.vehicle AND p.stop_sequence = i.stop_sequence
    WHERE p.departure_at IS NOT NULL
), behind AS (
    SELECT n.* FROM own o CROSS JOIN LATERAL (
        SELECT p.service_date, p.trip_id, p.zero_at, p.vehicle, p.stop_sequence, p.route_id, p.direction_id,
               p.stop_id, p.visit, p.departure_at, p.due_at, p.frequent_s, p.is_peak
        FROM passage p
        WHERE p.service_date BETWEEN o.service_date - 1 AND o.service_date + 1
          AND p.route_id = o.route_id AND p.direction_id = o.direction_id AND p.stop_id = o.stop_id
          AND p.visit = o.visit AND p.departure_at > o.departure_at
        ORDER BY p.departure_at LIMIT 1
    ) n
), follower AS (
    SELECT * FROM own UNION SELECT * FROM behind
)
INSERT INTO headway (service_date, trip_id, zero_at, vehicle, stop_sequence, route_id, direction_id, stop_id, visit,
                     at, leader, headway_s, scheduled_s, is_peak)
SELECT f.service_date, f.trip_id, f.zero_at, f.vehicle, f.stop_sequence, f.route_id, f.direction_id, f.stop_id, f.visit,
       f.departure_at, l.vehicle, extract(epoch FROM f.departure_at - l.departure_at),
       coalesce(f.frequent_s, extract(epoch FROM f.due_at - l.due_at)), f.is_peak
FROM follower f CROSS JOIN LATERAL (
    SELECT p.vehicle, p.departure_at, p.due_at FROM passage p
    WHERE p.service_date BETWEEN f.service_date - 1 AND f.service_date + 1
      AND p.route_id = f.route_id AND p.direction_id = f.direction_id AND p.stop_id = f.stop_id AND p.visit = f.visit
      AND p.departure_at < f.departure_at
    ORDER BY p.departure_at DESC LIMIT 1
) l
WHERE extract(epoch FROM f.departure_at - l.departure_at) <= $1::float8
ON CONFLICT (service_date, trip_id, zero_at, vehicle, stop_sequence) DO UPDATE
SET at = excluded.at, leader = excluded.leader, headway_s = excluded.headway_s, scheduled_s = excluded.scheduled_s;

-- name: clear_incoming
-- Empties what was copied in, within the transaction that merged it.
DELETE FROM passage_incoming;

-- name: keep_alert
-- An alert as it is now; a later word on it replaces the earlier one, but for the figures that opened it: those of its
-- end would say that all was well.
INSERT INTO alert_history AS a (service_date, id, kind, state, vehicle_id, route_id, direction_id, opened_at, closed_at,
                                acknowledged_by, acknowledged_at, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8), to_timestamp($9), $10, to_timestamp($11), $12::text::jsonb)
ON CONFLICT (service_date, id) DO UPDATE
SET state = excluded.state, closed_at = excluded.closed_at, acknowledged_by = excluded.acknowledged_by,
    acknowledged_at = excluded.acknowledged_at,
    detail = excluded.detail || jsonb_build_object(
        'headway_s', a.detail -> 'headway_s', 'scheduled_headway_s', a.detail -> 'scheduled_headway_s',
        'ratio', a.detail -> 'ratio', 'late_s', a.detail -> 'late_s');

-- name: keep_decision
-- A decision and what has become of it.
INSERT INTO decision (service_date, id, kind, state, vehicle, route_id, direction_id, decided_at, decided_by, known)
VALUES ($1, $2, $3, $4, $5, $6, $7, to_timestamp($8), $9, $10::text::jsonb)
ON CONFLICT (service_date, id) DO UPDATE SET state = excluded.state, known = excluded.known;

-- name: headway_sums
-- Sums that pool: of headways in $1 <= at < $2 (of route $3, or all), by route and direction and by $4.
-- $4 is route, stop, hour (local to time zone $5) or day; ratios $6 and $7 bound bunched and gapped.
-- Variances are taken within each stop first, then pooled.
WITH chosen AS (
    SELECT route_id, direction_id, stop_id, visit, headway_s::float8 AS h, scheduled_s::float8 AS s,
           headway_s::float8 - scheduled_s AS d, is_peak,
           CASE WHEN $4::text = 'stop' THEN stop_id END AS by_stop,
           CASE WHEN $4 = 'hour' THEN extract(hour FROM at AT TIME ZONE $5::text)::integer END AS by_hour,
           CASE WHEN $4 = 'day' THEN service_date END AS by_day
    FROM headway
    WHERE at >= to_timestamp($1::float8) AND at < to_timestamp($2::float8)
      AND service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
      AND ($3::text IS NULL OR route_id = $3)
), within AS (
    SELECT route_id, direction_id, by_stop, by_hour, by_day, count(*) AS n,
           sum(d * d) - sum(d) * sum(d) / count(*) AS squares,
           sum(h) AS h, sum(h * h) AS hh, sum(s) AS s, sum(s * s) AS ss,
           count(*) FILTER (WHERE h < $6::float8 * abs(s)) AS bunched,
           count(*) FILTER (WHERE h > $7::float8 * abs(s)) AS gapped,
           count(*) FILTER (WHERE h <= s + CASE WHEN is_peak THEN 180 ELSE 300 END) AS waited
    FROM chosen GROUP BY route_id, direction_id, stop_id, visit, by_stop, by_hour, by_day
)
SELECT route_id, direction_id, by_stop, by_hour, by_day, sum(n)::bigint AS pairs,
       greatest(sum(squares), 0) AS squares, sum(h) AS h, sum(hh) AS hh, sum(s) AS s, sum(ss) AS ss,
       sum(bunched)::bigint AS bunched, sum(gapped)::bigint AS gapped, sum(waited)::bigint AS waited
FROM within GROUP BY route_id, direction_id, by_stop, by_hour, by_day
ORDER BY route_id, direction_id, by_stop, by_hour, by_day LIMIT 20000;

-- name: punctuality_sums
-- Departures in $1 <= departure < $2 (of route $3, or all), by route and direction and by $4 as above.
-- Early is before $6 seconds of the timetable, late after $7.
SELECT route_id, direction_id,
       CASE WHEN $4::text = 'stop' THEN stop_id END AS by_stop,
       CASE WHEN $4 = 'hour' THEN extract(hour FROM departure_at AT TIME ZONE $5::text)::integer END AS by_hour,
       CASE WHEN $4 = 'day' THEN service_date END AS by_day,
       count(*) AS passages,
       count(*) FILTER (WHERE departure_at - due_at < make_interval(secs => $6::float8)) AS early,
       count(*) FILTER (WHERE departure_at - due_at > make_interval(secs => $7::float8)) AS late
FROM passage
WHERE departure_at >= to_timestamp($1::float8) AND departure_at < to_timestamp($2::float8)
  AND service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
  AND ($3::text IS NULL OR route_id = $3)
GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5 LIMIT 20000;

-- name: passages
-- Passages in $1 <= time < $2 (of route $3, or all) for a report, at most $4.
SELECT vehicle, trip_id, stop_sequence, start_date, extract(epoch FROM zero_at)::float8 AS zero_s,
       extract(epoch FROM arrival_at)::float8 AS arrival_s, extract(epoch FROM departure_at)::float8 AS departure_s
FROM passage
WHERE coalesce(departure_at, arrival_at) >= to_timestamp($1::float8)
  AND coalesce(departure_at, arrival_at) < to_timestamp($2::float8)
  AND service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
  AND ($3::text IS NULL OR route_id = $3)
LIMIT $4;

-- name: latest_span
-- When the newest passage was, and when the first one of its service day.
SELECT extract(epoch FROM min(coalesce(departure_at, arrival_at)))::float8 AS from_s,
       extract(epoch FROM max(coalesce(departure_at, arrival_at)))::float8 AS to_s
FROM passage WHERE service_date = (SELECT max(service_date) FROM passage);

-- name: alert_counts
-- Alerts that opened in $1 <= time < $2 (of route $3, or all), by kind.
SELECT kind, count(*) AS alerts, count(acknowledged_at) AS acknowledged,
       avg(extract(epoch FROM acknowledged_at - opened_at))::float8 AS mean_response_s
FROM alert_history
WHERE opened_at >= to_timestamp($1::float8) AND opened_at < to_timestamp($2::float8)
  AND service_date BETWEEN to_timestamp($1)::date - 3 AND to_timestamp($2)::date + 1
  AND ($3::text IS NULL OR route_id = $3)
GROUP BY kind ORDER BY kind;

-- name: fixes_span
-- What there is to play back in $1 <= at < $2: fixes, vehicles, and the first and last of them.
SELECT count(*) AS fixes, count(DISTINCT vehicle) AS vehicles, min(at) AS from_s, max(at) AS to_s
FROM fix
WHERE at >= $1::float8 AND at < $2::float8
  AND service_date BETWEEN to_timestamp($1)::date - 1 AND to_timestamp($2)::date + 1;

-- name: fixes
-- Fixes in $1 <= at < $2 in the order of their time, at most $3.
SELECT at, vehicle, lat, lon, bearing_deg, speed_mps, state, route_id, direction_id, trip_id, distance_m, off_route_m,
       deviation_s, next_stop_id, occupancy, headway_s, scheduled_headway_s, leader, headway_estimated
FROM fix
WHERE at >= $1::float8 AND at < $2::float8
  AND service_date BETWEEN to_timestamp($1)::date - 1 AND to_timestamp($2)::date + 1
ORDER BY at LIMIT $3;
