-- owner: pluginmanager
-- +goose Up
-- A video may have several lifecycles, and those that run are looked for.
CREATE INDEX plugin_lifecycles_video ON plugin_lifecycles (video_id);
CREATE INDEX plugin_lifecycles_open ON plugin_lifecycles (flow_id) WHERE ended_at = 0;

-- +goose Down
DROP INDEX plugin_lifecycles_open;
DROP INDEX plugin_lifecycles_video;
