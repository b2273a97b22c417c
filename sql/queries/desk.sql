-- name: answered
-- What was answered to a request under this client's key.
SELECT request_hash, answer FROM idempotency WHERE subject = $1 AND key = $2;

-- name: claim
-- Makes two requests under one key wait for each other until the end of the transaction.
SELECT pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2, 0));

-- name: remember
-- The answer under the client's key, in the transaction that earns it.
INSERT INTO idempotency (subject, key, request_hash, answer) VALUES ($1, $2, $3, $4);

-- name: forget
-- Old keys go: a client that retries after two days is another request.
DELETE FROM idempotency WHERE at < now() - interval '2 days';

-- name: audit
-- Who did what to which object, in the transaction that does it.
INSERT INTO audit (subject, action, object, details) VALUES ($1, $2, $3, $4::text::jsonb);

-- name: audit_all
-- The same for many acts: their chain's lock is held no longer than for one statement and what is left of the transaction.
INSERT INTO audit (subject, action, object, details)
SELECT $1, a.action, a.object, a.details::jsonb
FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS a (action, object, details, ord) ORDER BY a.ord;
