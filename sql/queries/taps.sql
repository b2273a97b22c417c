-- name: judge
-- One round trip for a batch of taps: locks, judges, books, stores and answers (see judge_taps in schema.sql).
SELECT * FROM judge_taps($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: judge_cards
-- The same for online taps of city cards, one a card: books those that are accepted, names those left over.
SELECT * FROM judge_card_taps($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: mark
-- Numbers of boots are answered; up to where each has no gap.
SELECT * FROM mark_answered($1, $2, $3, $4);

-- name: last_of_ticket
-- The last accepted use of a ticket, for a controller: when and where.
SELECT last_used_at, last_place, last_tap FROM ticket WHERE id = $1;
