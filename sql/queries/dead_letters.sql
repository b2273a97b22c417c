-- name: insert
-- Keep what a device sent and nobody could read, up to its quota of the day ($8); beyond it only count.
WITH given AS (
    SELECT g.*, row_number() OVER (PARTITION BY g.operator, g.device ORDER BY g.ord) AS n
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::float8[])
        WITH ORDINALITY AS g (operator, device, topic, reason, detail, payload, received, ord)
), device AS (
    SELECT operator, device, count(*) AS new FROM given GROUP BY 1, 2
), counted AS (
    INSERT INTO dead_letter_count AS c (operator, device, day, kept, dropped)
    SELECT d.operator, d.device, (now() AT TIME ZONE 'UTC')::date, least(d.new, $8), greatest(d.new - $8, 0)
    FROM device d ORDER BY 1, 2
    ON CONFLICT (operator, device, day) DO UPDATE SET
        kept = least(c.kept + excluded.kept + excluded.dropped, $8),
        dropped = c.dropped + greatest(c.kept + excluded.kept + excluded.dropped - $8, 0)
    RETURNING operator, device, kept
), room AS (
    SELECT c.operator, c.device, c.kept - coalesce(o.kept, 0) AS n
    FROM counted c LEFT JOIN dead_letter_count o
        ON o.operator = c.operator AND o.device = c.device AND o.day = (now() AT TIME ZONE 'UTC')::date
), stored AS (
    INSERT INTO dead_letter (operator, device, topic, reason, detail, payload, received_at)
    SELECT g.operator, g.device, g.topic, g.reason, g.detail, g.payload, to_timestamp(g.received)
    FROM given g JOIN room r ON r.operator = g.operator AND r.device = g.device WHERE g.n <= r.n
    RETURNING 1
)
SELECT count(*) FROM stored;
