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
