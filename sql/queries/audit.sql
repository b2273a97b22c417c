-- name: broken
-- The rows at which the chain breaks: changed since they were written, or not following the row before them.
SELECT seq, extract(epoch FROM at)::float8 AS at, subject, action, object, changed FROM (
    SELECT a.seq, a.at, a.subject, a.action, a.object, a.hash <> audit_hash(a) AS changed,
           a.prev_hash <> coalesce(lag(a.hash) OVER (ORDER BY a.seq), decode(repeat('00', 32), 'hex')) AS loose
    FROM audit a
) rows WHERE changed OR loose ORDER BY seq LIMIT 20;

-- name: last
-- The newest row's number and hash: written down elsewhere, they show later that the end was not cut off.
SELECT seq, encode(hash, 'hex') AS hash FROM audit ORDER BY seq DESC LIMIT 1;

-- name: list
-- The newest rows, of one object where it is named.
SELECT seq, extract(epoch FROM at)::float8 AS at, subject, action, object, details::text AS details
FROM audit WHERE $1::text IS NULL OR object = $1 ORDER BY seq DESC LIMIT $2;
