-- name: judge
-- One round trip for a batch of taps: locks, judges, books, stores and answers (see migration 0004_judge_rows).
SELECT * FROM judge_taps($1, $2, $3, $4, $5, $6, $7, $8);

-- name: last_of_ticket
-- The last accepted use of a ticket, for a controller: when and where.
SELECT last_used_at, last_place, last_tap FROM ticket WHERE id = $1;
