-- name: judge
-- One round trip for a batch of taps: locks, judges, books, stores and answers (see migration 0002_judge).
SELECT * FROM judge_taps(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
    $26, $27, $28
);

-- name: last_of_ticket
-- The last accepted use of a ticket, for a controller: when and where.
SELECT last_used_at, last_place, last_tap FROM ticket WHERE id = $1;
