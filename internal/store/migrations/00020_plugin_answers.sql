-- owner: pluginmanager
-- +goose Up
-- What was answered lately wakes the lifecycles that wait.
CREATE INDEX plugin_answers_at ON plugin_answers (answered_at);

-- +goose Down
DROP INDEX plugin_answers_at;
