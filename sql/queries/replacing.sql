-- name: lock_cards
-- The old card and the new one, locked as the judge locks them: by uid.
SELECT uid FROM card WHERE uid = ANY ($1) ORDER BY uid FOR NO KEY UPDATE;

-- name: cards
-- How both stand, asked once they are locked: a look that began before would still see them as they were.
SELECT uid, status, balance_minor, debt_minor, category, currency, counter < 0 AND taps = 0 AS untouched,
       denied('card', uid) AS denied,
       EXISTS (SELECT FROM deny_entry d WHERE d.medium = card.uid AND d.kind = 'card' AND d.reason LIKE 'replaced_by:%') AS replaced,
       EXISTS (SELECT FROM ticket t WHERE t.card_uid = card.uid) AS holds_tickets
FROM card WHERE uid = ANY ($1);

-- name: lock_tickets
-- What the old card holds that is still worth something at an instant, locked after the cards, by id.
SELECT id FROM ticket
WHERE card_uid = $1 AND status <> 'revoked' AND valid_until > to_timestamp($2::float8)
      AND (uses_allowed IS NULL OR uses < uses_allowed)
ORDER BY id FOR NO KEY UPDATE;

-- name: carry_ticket
-- A ticket on the new card with what is left of the one on the old card, unless its place in the status list is taken.
-- It was paid with the old one, so it has no price of its own.
INSERT INTO ticket (id, product_id, card_uid, status, valid_from, valid_until, uses_allowed, networks, passback,
                    status_list, status_index, price_minor, currency, sold_by, reason, riders, carried_from)
SELECT $2, product_id, $3, status, valid_from, valid_until, uses_allowed - uses, networks, passback,
       $4, $5, 0, currency, $6, reason, riders, id
FROM ticket WHERE id = $1
ON CONFLICT (status_list, status_index) DO NOTHING
RETURNING id;

-- name: end_ticket
-- The ticket on the old card is over: it covers what was ridden before, but of counted rides no more than it had brought.
UPDATE ticket SET status = 'revoked', reason = $2, uses_kept = CASE WHEN uses_allowed > 0 THEN uses END,
    status_at = CASE WHEN status = 'valid' THEN now() ELSE coalesce(status_at, now()) END
WHERE id = $1;

-- name: note
-- Which card took which one's place.
INSERT INTO card_replacement (old_uid, new_uid) VALUES ($1, $2);

-- name: lock_heirs
-- The card that took this one's place, the one that took that one's, and so on, locked.
WITH RECURSIVE heir (uid, nth) AS (
    SELECT new_uid, 1 FROM card_replacement WHERE old_uid = $1
    UNION ALL
    SELECT r.new_uid, h.nth + 1 FROM heir h JOIN card_replacement r ON r.old_uid = h.uid
)
SELECT c.uid FROM heir h JOIN card c ON c.uid = h.uid ORDER BY h.nth FOR NO KEY UPDATE OF c;

-- name: take_purse
-- What came back to a card that nobody can use any more, taken out of its purse; nothing where it is empty.
WITH before AS (
    SELECT uid, balance_minor, currency FROM card WHERE uid = $1 AND balance_minor > 0 FOR NO KEY UPDATE
)
UPDATE card c SET balance_minor = 0 FROM before b WHERE c.uid = b.uid RETURNING b.balance_minor, b.currency;

-- name: empty_purse
-- Nothing is left in the old card's purse.
UPDATE card SET balance_minor = 0 WHERE uid = $1;

-- name: fill
-- What the old card held goes to the new one, with the concession of its holder.
UPDATE card SET balance_minor = balance_minor + $2, category = $3 WHERE uid = $1;

-- name: is_replaced
-- Whether a card has given way to another: its entry in the deny list says so, and is never taken back.
SELECT EXISTS (SELECT FROM deny_entry WHERE medium = $1 AND kind = 'card' AND reason LIKE 'replaced_by:%');
