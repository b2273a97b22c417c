-- name: append
-- Writes version $2 of notice $1: at $3 by $4, what was done $5, the notice $6, its end $7 and its closing $8 (Unix s).
INSERT INTO notice (id, version, at, by_whom, what, notice, until_at, closed_at)
VALUES ($1, $2, to_timestamp($3), $4, $5, $6::jsonb, to_timestamp($7::float8), to_timestamp($8::float8));

-- name: latest
-- The newest version of each notice that is open or was over after $1 (Unix seconds), the newest $2 of them.
SELECT id, version, notice::text AS notice
FROM (SELECT DISTINCT ON (id) id, version, at, notice, until_at, closed_at FROM notice ORDER BY id, version DESC) n
WHERE least(n.until_at, n.closed_at) IS NULL OR least(n.until_at, n.closed_at) > to_timestamp($1)
ORDER BY n.at DESC
LIMIT $2;
