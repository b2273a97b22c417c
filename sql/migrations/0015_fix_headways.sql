-- Playback: a stored position has the headway that dispatchers saw beside it, so that an hour is shown as it was.
ALTER TABLE fix ADD COLUMN headway_s real, ADD COLUMN scheduled_headway_s real,
    ADD COLUMN leader text COLLATE "C", ADD COLUMN headway_estimated boolean;
