-- name: count_unstored
-- Add to the letters of each operator ($1) and device ($2) on this day (UTC) that were counted and not stored ($3).
INSERT INTO dead_letter_count AS c (operator, device, day, kept, dropped)
SELECT g.operator, g.device, (now() AT TIME ZONE 'UTC')::date, 0, sum(g.n)
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS g (operator, device, n)
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (operator, device, day) DO UPDATE SET dropped = c.dropped + excluded.dropped;

-- name: of_operator
-- The newest $6 letters of an operator ($1) since $4 (Unix seconds) and before the letter $5; of one device where $2 is
-- not null, and of vehicles or of validators alone where $3 is not null (true: validators).
SELECT id, operator, device, topic, reason, detail, payload, extract(epoch FROM received_at)::float8 AS received_at
FROM dead_letter
WHERE operator = $1 AND ($2::text IS NULL OR device = $2)
    AND ($3::bool IS NULL OR starts_with(topic, 'validator/') = $3)
    AND received_at >= to_timestamp($4::float8) AND id < $5
ORDER BY id DESC LIMIT $6;

-- name: unstored
-- How many letters of an operator ($1), of one device where $2 is not null, were counted and not stored, from the day
-- (UTC) of $3 (Unix seconds) on.
SELECT coalesce(sum(dropped), 0)::bigint FROM dead_letter_count
WHERE operator = $1 AND ($2::text IS NULL OR device = $2) AND day >= (to_timestamp($3::float8) AT TIME ZONE 'UTC')::date;
