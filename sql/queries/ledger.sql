-- name: insert
-- One transfer; append only. It belongs to the open shift of whoever makes it, which cannot close meanwhile.
INSERT INTO transfer (kind, debit, credit, amount_minor, currency, ticket_id, card_uid, reverses, made_by, shift_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, (SELECT id FROM shift WHERE subject = $9 AND closed_at IS NULL FOR SHARE))
RETURNING id;

-- name: sale_of_ticket
-- The transfer by which a ticket was paid and the one that reversed it, if any.
SELECT s.id, s.kind, s.debit, s.credit, s.amount_minor, s.currency, r.id AS reversed_by
FROM transfer s LEFT JOIN transfer r ON r.reverses = s.id WHERE s.ticket_id = $1 AND s.kind = 'sale';

-- name: balances
-- Debits less credits of every account; over all of them the sum is zero by construction.
SELECT account, currency, sum(minor)::bigint AS minor FROM (
    SELECT debit AS account, currency, amount_minor AS minor FROM transfer
    UNION ALL SELECT credit, currency, -amount_minor FROM transfer
) lines GROUP BY account, currency ORDER BY account, currency;

-- name: price_differences
-- Sales and penalties booked with another amount than the ticket or the penalty has: none, or the books are wrong.
SELECT x.id, x.kind, x.amount_minor, t.price_minor AS due_minor FROM transfer x JOIN ticket t ON t.id = x.ticket_id
WHERE x.kind = 'sale' AND x.amount_minor <> t.price_minor
UNION ALL
SELECT x.id, x.kind, x.amount_minor, p.amount_minor FROM penalty p JOIN transfer x ON x.debit = 'penalty:' || p.id
WHERE x.kind = 'penalty' AND x.amount_minor <> p.amount_minor
LIMIT 100;
