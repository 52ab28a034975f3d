-- owner: streaming
-- +goose Up
-- The id of a channel's newest stream: the next one has to come after it.
CREATE INDEX streams_newest ON streams (channel, id);

-- +goose Down
DROP INDEX streams_newest;
