-- owner: rules
-- +goose Up
-- about is what the event is about, its video, stream or channel: with a deleted
-- video go the deliveries about it. Those of before have none, and go with their age.
ALTER TABLE rule_deliveries ADD COLUMN about TEXT NOT NULL DEFAULT '';

CREATE INDEX rule_deliveries_about ON rule_deliveries (about);
