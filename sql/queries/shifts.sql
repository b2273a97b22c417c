-- name: open
-- A new shift; nothing where this subject has one that is open, which takes no number: numbers follow one another.
INSERT INTO shift (subject, currency, float_minor)
SELECT $1::text, $2::text, $3::bigint WHERE NOT EXISTS (SELECT FROM shift WHERE subject = $1 AND closed_at IS NULL)
ON CONFLICT (subject) WHERE closed_at IS NULL DO NOTHING RETURNING id;

-- name: current
-- The open shift of a subject.
SELECT id FROM shift WHERE subject = $1 AND closed_at IS NULL;

-- name: hold
-- The open shift of a subject, which cannot close until the end of the transaction.
SELECT id FROM shift WHERE subject = $1 AND closed_at IS NULL FOR SHARE;

-- name: get
-- One shift.
SELECT id, subject, currency, float_minor, extract(epoch FROM opened_at)::float8 AS opened_at,
       extract(epoch FROM closed_at)::float8 AS closed_at, expected_minor, counted_minor
FROM shift WHERE id = $1;

-- name: lock
-- One shift, held until the end of the transaction: sales under way are waited for, later ones have no part in it.
SELECT subject, currency, float_minor, closed_at IS NOT NULL AS closed FROM shift WHERE id = $1 FOR UPDATE;

-- name: close
-- Close a shift with what must be in the drawer and what was counted.
UPDATE shift SET closed_at = now(), expected_minor = $2, counted_minor = $3 WHERE id = $1;

-- name: lines
-- What the ledger says about a shift: by kind, how many, and the cash that came in less what went out.
SELECT kind, count(*) AS count,
       sum(CASE WHEN debit = 'cash' THEN amount_minor WHEN credit = 'cash' THEN -amount_minor ELSE 0 END)::bigint AS cash_minor
FROM transfer WHERE shift_id = $1 GROUP BY kind ORDER BY kind;

-- name: of_subject
-- The newest shifts of a subject, of everybody where none is named.
SELECT id FROM shift WHERE $1::text IS NULL OR subject = $1 ORDER BY id DESC LIMIT $2;
