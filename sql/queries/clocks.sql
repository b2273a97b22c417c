-- name: keep
-- What is known of devices' clocks; $1 to $4 go together.
INSERT INTO validator_clock AS c (operator, device, boot, behind_s)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[]) ORDER BY 1, 2, 3
ON CONFLICT (operator, device, boot) DO UPDATE SET behind_s = excluded.behind_s, seen_at = now();

-- name: find
-- What was known of these boots' clocks; $1 to $3 go together.
SELECT c.operator, c.device, c.boot, c.behind_s
FROM unnest($1::text[], $2::text[], $3::text[]) AS n (operator, device, boot)
JOIN validator_clock c ON c.operator = n.operator AND c.device = n.device AND c.boot = n.boot;

-- name: doubt
-- Rides that were accepted by an unknown clock's word alone, each flagged once; $1 to $3 go together.
UPDATE tap t SET flags = array_append(coalesce(t.flags, '{}'), 'clock_unknown')
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS n (operator, device, id)
WHERE t.operator = n.operator AND t.device = n.device AND t.id = n.id
      AND NOT 'clock_unknown' = ANY (coalesce(t.flags, '{}'));

-- name: wrong
-- Devices heard in the last $1 seconds whose clock is known to be wrong in their last boot, the worst first, $2 at most;
-- `of` is how many there are.
SELECT n.operator, n.device, c.behind_s, extract(epoch FROM n.updated_at)::float8 AS heard_s, count(*) OVER () AS of
FROM (
    SELECT DISTINCT ON (operator, device) operator, device, boot, updated_at FROM validator_progress
    WHERE updated_at > now() - make_interval(secs => $1::float8) ORDER BY operator, device, updated_at DESC
) n JOIN validator_clock c USING (operator, device, boot)
WHERE c.behind_s <> 0 ORDER BY abs(c.behind_s) DESC, n.operator, n.device LIMIT $2;

-- name: flagged
-- How many taps received since $1 (Unix seconds) were put right by a wrong clock, and of how many nobody knows.
SELECT count(*) FILTER (WHERE 'clock' = ANY (flags)) AS clock,
       count(*) FILTER (WHERE 'clock_unknown' = ANY (flags)) AS clock_unknown
FROM tap WHERE (conflict OR flags IS NOT NULL) AND received_at >= to_timestamp($1::float8);
