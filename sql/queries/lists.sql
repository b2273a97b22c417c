-- name: deny
-- Put a medium on the deny list or take it off; each change has its number.
INSERT INTO deny_entry (kind, medium, removed, reason) VALUES ($1, $2, $3, $4) RETURNING seq;

-- name: deny_since
-- The changes of the deny list after a number, in order.
SELECT seq, kind, medium, removed, extract(epoch FROM at)::float8 AS at FROM deny_entry WHERE seq > $1 ORDER BY seq LIMIT $2;

-- name: deny_last
-- The number of the newest change.
SELECT coalesce(max(seq), 0) FROM deny_entry;
