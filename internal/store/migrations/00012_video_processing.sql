-- owner: video
-- +goose Up
-- failed_attempt is the last attempt at processing that is known to have
-- failed: news of it and of earlier ones may come after the next has begun.
ALTER TABLE videos ADD COLUMN failed_attempt BIGINT NOT NULL DEFAULT 0;
ALTER TABLE videos ADD COLUMN storyboard BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE videos DROP COLUMN storyboard;
ALTER TABLE videos DROP COLUMN failed_attempt;
