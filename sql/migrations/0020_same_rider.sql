-- A rider stays the same: when the holder's category changed, which card took another's place, and whose ticket it was.

-- What a card's holder was before: category until an instant (half-open); card.category is what counts after all of them.
CREATE TABLE card_category (
    card_uid bytea NOT NULL REFERENCES card (uid),
    until_at timestamptz NOT NULL,
    category text,
    PRIMARY KEY (card_uid, until_at)
);

-- A lost or worn card and the one that took its place.
CREATE TABLE card_replacement (
    old_uid bytea PRIMARY KEY REFERENCES card (uid),
    new_uid bytea NOT NULL UNIQUE REFERENCES card (uid),
    at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO card_replacement (old_uid, new_uid, at)
SELECT DISTINCT ON (medium) medium, decode(substr(reason, 13), 'hex'), at FROM deny_entry
WHERE kind = 'card' AND reason ~ '^replaced_by:[0-9a-f]{14}$' ORDER BY medium, seq
ON CONFLICT DO NOTHING;

-- What is left of a ticket goes on as another one on the new card.
ALTER TABLE ticket ADD COLUMN carried_from uuid REFERENCES ticket (id);
UPDATE ticket t SET carried_from = pair.first
FROM (
    SELECT n.id AS next, o.id AS first FROM card_replacement r
    JOIN LATERAL (
        SELECT k.*, row_number() OVER (PARTITION BY product_id, valid_from, valid_until, uses_allowed ORDER BY id) AS nth
        FROM ticket k WHERE k.card_uid = r.new_uid AND k.sold_at = r.at AND k.price_minor = 0
    ) n ON true
    JOIN LATERAL (
        SELECT k.*, row_number() OVER (PARTITION BY product_id, valid_from, valid_until, uses_allowed - uses_kept
                                       ORDER BY id) AS nth
        FROM ticket k WHERE k.card_uid = r.old_uid AND k.status = 'revoked' AND k.status_at <= r.at AND k.valid_until > r.at
    ) o ON o.product_id = n.product_id AND o.valid_from = n.valid_from AND o.valid_until = n.valid_until
           AND o.uses_allowed - o.uses_kept IS NOT DISTINCT FROM n.uses_allowed AND o.nth = n.nth
) pair WHERE t.id = pair.next;
CREATE UNIQUE INDEX ticket_carried_from ON ticket (carried_from) WHERE carried_from IS NOT NULL;

-- What the card whose place this one took handed on (caps' periods, transfers that may still run): of its last rated day,
-- or of the card before it; null where there is none.
CREATE FUNCTION handed_on(p_uid bytea) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    v_uid bytea := p_uid;
    v_found jsonb;
BEGIN
    LOOP
        SELECT r.old_uid INTO v_uid FROM card_replacement r WHERE r.new_uid = v_uid;
        EXIT WHEN NOT FOUND;
        SELECT d.rating -> 'carried' INTO v_found FROM day_rating d
        WHERE d.account = 'card:' || encode(v_uid, 'hex') ORDER BY d.service_date DESC LIMIT 1;
        EXIT WHEN FOUND;
    END LOOP;
    RETURN v_found;
END
$$;
