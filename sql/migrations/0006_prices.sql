-- What a tap costs may depend on the taps before it: each tap says where it was made, for how many riders and on whose
-- account, and whether its price has still to be rated with the whole day.

ALTER TABLE tap
    ADD COLUMN route_id text,
    ADD COLUMN direction_id smallint,
    ADD COLUMN riders smallint NOT NULL DEFAULT 1,
    ADD COLUMN account text,                            -- card:<uid hex> or bank:<id>; null for a QR code, and once cut
    ADD COLUMN rating_due boolean NOT NULL DEFAULT false,
    ADD COLUMN flags text[];                            -- what somebody should look at, such as elsewhere
UPDATE tap SET account = 'card:' || encode(card_uid, 'hex') WHERE card_uid IS NOT NULL;
CREATE INDEX tap_rating_due ON tap (account, taken_at) WHERE rating_due;

-- An account's taps are found by its card or, for bank cards, by its name: an index for all would cost every card tap.
CREATE INDEX tap_card_uid ON tap (card_uid, card_counter) WHERE card_uid IS NOT NULL;
CREATE INDEX tap_bank_account ON tap (account, taken_at) WHERE card_uid IS NULL AND account IS NOT NULL;

-- How many taps of the card have been booked: a price that was worked out from so many is stale when there is one more.
ALTER TABLE card ADD COLUMN taps integer NOT NULL DEFAULT 0;
UPDATE card c SET taps = (SELECT count(*) FROM tap t WHERE t.card_uid = c.uid AND t.verdict = 'accepted');

-- A group travels on one medium: one use of its ticket carries so many riders.
ALTER TABLE ticket ADD COLUMN riders smallint NOT NULL DEFAULT 1 CHECK (riders > 0);

-- Where a medium was used last, in degrees: nobody is at two far places within minutes.
ALTER TABLE card ADD COLUMN last_lat real, ADD COLUMN last_lon real;
ALTER TABLE ticket ADD COLUMN last_lat real, ADD COLUMN last_lon real;

-- The taps of an account, card:<uid hex> or bank:<id>, that were taken in [p_from, p_until), in the order of their times.
CREATE FUNCTION account_taps(p_account text, p_from timestamptz, p_until timestamptz) RETURNS SETOF tap
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_account LIKE 'card:%' THEN
        RETURN QUERY SELECT * FROM tap WHERE card_uid = decode(substr(p_account, 6), 'hex')
            AND taken_at >= p_from AND taken_at < p_until ORDER BY taken_at, id;
    ELSE
        RETURN QUERY SELECT * FROM tap WHERE account = p_account AND card_uid IS NULL
            AND taken_at >= p_from AND taken_at < p_until ORDER BY taken_at, id;
    END IF;
END
$$;
