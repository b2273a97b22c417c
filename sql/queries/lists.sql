-- name: deny
-- Put a medium on the deny list or take it off; each change has its number.
INSERT INTO deny_entry (kind, medium, removed, reason) VALUES ($1, $2, $3, $4) RETURNING seq;

-- name: deny_since
-- The changes of the deny list after a number, in order; all of them after one that was never given: whoever names it
-- knows a list that is gone, since a backup of before was restored, and would else miss all changes up to that number.
SELECT seq, kind, medium, removed, extract(epoch FROM at)::float8 AS at FROM deny_entry
WHERE seq > CASE WHEN $1 <= (SELECT max(seq) FROM deny_entry) THEN $1 ELSE 0 END ORDER BY seq LIMIT $2;

-- name: deny_last
-- The number of the newest change.
SELECT coalesce(max(seq), 0) FROM deny_entry;
