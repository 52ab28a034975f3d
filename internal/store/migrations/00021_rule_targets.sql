-- owner: rules
-- +goose Up
-- Which plugin, flow or tag a target is.
ALTER TABLE rules ADD COLUMN argument TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE rules DROP COLUMN argument;
