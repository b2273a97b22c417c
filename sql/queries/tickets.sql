-- name: next_slot
-- A rising number; half a status list's worth of them go to each list.
SELECT nextval('status_slot');

-- name: insert
-- A ticket just sold, unless its place in the status list is taken: then nothing, and another place is drawn.
INSERT INTO ticket (id, product_id, card_uid, valid_from, valid_until, uses_allowed, networks, passback, status_list,
                    status_index, price_minor, currency, device_key, sold_by, riders)
VALUES ($1, $2, $3, to_timestamp($4::float8), to_timestamp($5::float8), $6, $7, make_interval(mins => $8), $9, $10, $11,
        $12, $13, $14, $15)
ON CONFLICT (status_list, status_index) DO NOTHING
RETURNING id;

-- name: get
-- One ticket by its id.
SELECT id, product_id, card_uid, status, extract(epoch FROM valid_from)::float8 AS valid_from,
       extract(epoch FROM valid_until)::float8 AS valid_until, uses_allowed, uses, networks, status_list, status_index,
       price_minor, currency, device_key, sold_by, extract(epoch FROM sold_at)::float8 AS sold_at,
       extract(epoch FROM last_used_at)::float8 AS last_used_at, last_place, last_tap, reason,
       (SELECT sum(r.amount_minor)::bigint FROM transfer r WHERE r.ticket_id = ticket.id AND r.kind = 'refund') AS refunded_minor,
       (SELECT coalesce(sum(CASE WHEN o.debit = 'ticket_debt:' || ticket.id THEN o.amount_minor ELSE -o.amount_minor END), 0)::bigint
        FROM transfer o WHERE o.ticket_id = ticket.id AND 'ticket_debt:' || ticket.id IN (o.debit, o.credit)) AS owed_minor,
       (SELECT coalesce(sum(CASE WHEN b.credit = 'refunds_owed' THEN b.amount_minor ELSE -b.amount_minor END), 0)::bigint
        FROM transfer b WHERE b.ticket_id = ticket.id AND 'refunds_owed' IN (b.debit, b.credit)) AS refund_owed_minor
FROM ticket WHERE id = $1;

-- name: lock_card
-- The card that a ticket is on, and those from which it was carried there, held until the end of the transaction: before
-- the ticket and by uid, as everybody locks them.
WITH RECURSIVE whole AS (
    SELECT card_uid, carried_from FROM ticket WHERE id = $1
    UNION ALL
    SELECT t.card_uid, t.carried_from FROM whole w JOIN ticket t ON t.id = w.carried_from
)
SELECT c.uid FROM card c WHERE c.uid IN (SELECT card_uid FROM whole) ORDER BY c.uid FOR NO KEY UPDATE;

-- name: carried
-- The tickets from which one was carried over cards that were replaced, the newest first, with what a refund depends on.
WITH RECURSIVE whole AS (
    SELECT t.*, 0 AS nth FROM ticket t WHERE t.id = $1
    UNION ALL
    SELECT t.*, w.nth + 1 FROM whole w JOIN ticket t ON t.id = w.carried_from
)
SELECT id, card_uid, uses, uses_allowed, price_minor, extract(epoch FROM sold_at)::float8 AS sold_s
FROM whole WHERE nth > 0 ORDER BY nth;

-- name: went_on
-- The ticket to which one was carried, and its card.
SELECT id, card_uid FROM ticket WHERE carried_from = $1;

-- name: keep_uses
-- Tickets whose price went back whole, to be taken for no more rides than they had brought.
UPDATE ticket SET uses_kept = uses WHERE id = ANY ($1);

-- name: lock
-- The status of one ticket and what a refund depends on, held until the end of the transaction.
SELECT status, card_uid, product_id, price_minor, extract(epoch FROM sold_at)::float8 AS sold_s,
       extract(epoch FROM status_at)::float8 AS status_s,
       extract(epoch FROM valid_from)::float8 AS from_s, extract(epoch FROM valid_until)::float8 AS until_s, uses,
       uses_allowed
FROM ticket WHERE id = $1 FOR NO KEY UPDATE;

-- name: set_status
-- Revoke, suspend or resume a ticket that is locked; what was suspended and is revoked now ended when it was suspended.
UPDATE ticket SET status = $2, reason = $3,
    status_at = CASE WHEN status <> 'valid' AND $2 <> 'valid' THEN coalesce(status_at, now()) ELSE now() END
WHERE id = $1;

-- name: give_back
-- Revoke a ticket whose price goes back: it covers no more rides than it has brought. Of a pass of which a part was kept
-- ($3) though we know of no ride, that part covers those that are told of late.
UPDATE ticket SET status = 'revoked', reason = $2,
    uses_kept = CASE WHEN uses = 0 AND uses_allowed IS NULL AND $3 THEN NULL ELSE uses END,
    status_at = CASE WHEN status = 'valid' THEN now() ELSE coalesce(status_at, now()) END
WHERE id = $1;

-- name: lock_of_tap
-- The ticket of a tap by a code, which a validator had let happen and we refuse, held until the end of the transaction.
SELECT q.id FROM tap t JOIN ticket q ON q.id = t.ticket_id
WHERE t.operator = $1 AND t.device = $2 AND t.id = $3::text::uuid AND t.conflict AND t.verdict = 'revoked'
      AND q.card_uid IS NULL FOR NO KEY UPDATE OF q;

-- name: ride_given_back
-- A tap made before its ticket's price was given back, and of which nothing was booked, with what was given back and what
-- was booked of others; the ticket is locked.
SELECT q.id AS ticket_id, q.price_minor, q.currency, q.uses_allowed, q.uses_kept, r.amount_minor AS back_minor,
       count(o.id) AS late_rides, coalesce(sum(o.amount_minor), 0)::bigint AS owed_minor
FROM tap t JOIN ticket q ON q.id = t.ticket_id
JOIN transfer r ON r.ticket_id = q.id AND r.kind = 'refund' AND tap_at(t) < r.at
LEFT JOIN transfer o ON o.ticket_id = q.id AND o.debit = 'ticket_debt:' || q.id
WHERE t.operator = $1 AND t.device = $2 AND t.id = $3::text::uuid AND NOT 'owed' = ANY (coalesce(t.flags, '{}'))
GROUP BY q.id, r.amount_minor;

-- name: owe
-- What a ride is owed, into the ledger, and its tap flagged.
WITH flagged AS (
    UPDATE tap SET flags = array_append(coalesce(flags, '{}'), 'owed')
    WHERE operator = $7 AND device = $8 AND id = $9::text::uuid RETURNING id
)
INSERT INTO transfer (kind, debit, credit, amount_minor, currency, ticket_id, tap_id, made_by)
SELECT $1, $2, $3, $4::bigint, $5, $6::uuid, id, $10 FROM flagged;

-- name: owes
-- What is still owed by a ticket for rides that were told of once its price had been given back.
SELECT sum(CASE WHEN debit = 'ticket_debt:' || $1::uuid THEN amount_minor ELSE -amount_minor END)::bigint FROM transfer
WHERE ticket_id = $1::uuid AND 'ticket_debt:' || $1::uuid IN (debit, credit);

-- name: refund_owed
-- What a ticket's bank would not take back and nobody has paid out yet; nothing where there never was any.
SELECT sum(CASE WHEN credit = 'refunds_owed' THEN amount_minor ELSE -amount_minor END)::bigint AS minor,
       min(currency) AS currency
FROM transfer WHERE ticket_id = $1 AND 'refunds_owed' IN (debit, credit);

-- name: of_card
-- The tickets that a city card holds, newest first.
SELECT id, product_id, status, extract(epoch FROM valid_from)::float8 AS valid_from,
       extract(epoch FROM valid_until)::float8 AS valid_until, uses_allowed, uses
FROM ticket WHERE card_uid = $1 ORDER BY sold_at DESC LIMIT 50;

-- name: statuses_of_list
-- The tickets of one status list that are not simply valid.
SELECT status_index, status FROM ticket WHERE status_list = $1 AND status <> 'valid';

-- name: list_exists
-- Whether any ticket has its place in this status list.
SELECT EXISTS (SELECT FROM ticket WHERE status_list = $1);

-- name: last_end
-- When the last ticket ends of those that were sold until an instant and carry a signature.
SELECT extract(epoch FROM max(valid_until))::float8 FROM ticket
WHERE card_uid IS NULL AND sold_at <= to_timestamp($1::float8);

-- name: inspect
-- What a controller sees of a ticket shown as a code: its state, that it was used aside, and its last accepted tap.
SELECT least(CASE
           WHEN to_timestamp($2) < t.valid_from THEN 'not_yet_valid'
           WHEN to_timestamp($2) >= t.valid_until THEN 'expired'
           WHEN t.status = 'revoked' THEN 'revoked'
           WHEN t.status = 'suspended' THEN 'suspended'
           ELSE 'accepted'
       END::verdict, CASE WHEN denied('ticket', uuid_send(t.id)) THEN 'denied' ELSE 'accepted' END::verdict) AS verdict,
       t.id AS ticket_id, t.product_id, extract(epoch FROM t.valid_until)::float8 AS valid_until, t.uses, t.uses_allowed,
       NULL::bigint AS balance_minor, NULL::text AS currency, extract(epoch FROM t.last_used_at)::float8 AS last_used_at, t.last_place
FROM ticket t WHERE t.id = $1 AND t.card_uid IS NULL;
