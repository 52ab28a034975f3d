-- name: Plugins :many
SELECT * FROM plugins ORDER BY position;

-- name: PluginsOfHook :many
SELECT * FROM plugins WHERE hook = $1 AND present = TRUE AND enabled = TRUE ORDER BY position;

-- name: ListPlugins :many
SELECT * FROM plugins
WHERE present = TRUE AND enabled = TRUE
    AND (created_at < sqlc.arg(at) OR created_at = sqlc.arg(at) AND name < sqlc.arg(last_name))
ORDER BY created_at DESC, name DESC LIMIT sqlc.arg(row_count);

-- name: AddPlugin :exec
INSERT INTO plugins (name, hook, position, time_limit_ms, kind, manifest, present, enabled, created_at)
VALUES ($1, $2, $3, $4, $5, $6, TRUE, TRUE, $7)
ON CONFLICT (name) DO UPDATE SET hook = excluded.hook, time_limit_ms = excluded.time_limit_ms,
    kind = excluded.kind, manifest = excluded.manifest, present = TRUE;

-- name: RemovePlugins :exec
UPDATE plugins SET present = FALSE;

-- name: BeginLifecycle :execrows
INSERT INTO plugin_lifecycles (flow_id, video_id, channel, started_at, ended_at, status, answer_bytes)
VALUES ($1, $2, $3, $4, 0, '', 0) ON CONFLICT DO NOTHING;

-- name: EndLifecycle :exec
UPDATE plugin_lifecycles SET ended_at = $1, status = $2 WHERE flow_id = $3;

-- name: LifecyclesOfVideo :many
SELECT * FROM plugin_lifecycles WHERE video_id = $1;

-- name: OpenLifecycles :many
SELECT * FROM plugin_lifecycles WHERE ended_at = 0;

-- name: SpendAnswerBytes :execrows
UPDATE plugin_lifecycles SET answer_bytes = answer_bytes + sqlc.arg(bytes)
WHERE flow_id = sqlc.arg(flow_id) AND answer_bytes <= sqlc.arg(most);

-- name: AddTask :execrows
INSERT INTO plugin_tasks (flow_id, hook, plugin, attempt, position, video_id, channel, token_hash, asked_at, deadline, state, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'open', '') ON CONFLICT DO NOTHING;

-- name: AddPastTask :exec
-- A task that was over in an earlier lifecycle of the video.
INSERT INTO plugin_tasks (flow_id, hook, plugin, attempt, position, video_id, channel, token_hash, asked_at, deadline, state, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: TaskByToken :one
-- Locks the task until the transaction ends.
UPDATE plugin_tasks SET token_hash = token_hash WHERE token_hash = $1 RETURNING *;

-- name: SettleTask :execrows
UPDATE plugin_tasks SET state = $1, reason = $2
WHERE flow_id = $3 AND hook = $4 AND plugin = $5 AND attempt = $6 AND state = 'open';

-- name: TasksOfHook :many
SELECT * FROM plugin_tasks WHERE flow_id = $1 AND hook = $2 ORDER BY position;

-- name: LockTasksOfHook :exec
-- Locks the hook's open tasks until the transaction ends.
UPDATE plugin_tasks SET state = state WHERE flow_id = $1 AND hook = $2 AND state = 'open';

-- name: CloseTasks :exec
UPDATE plugin_tasks SET state = 'closed' WHERE flow_id = $1 AND state = 'open';

-- name: ProlongTasks :execrows
UPDATE plugin_tasks SET deadline = sqlc.arg(deadline) WHERE state = 'open' AND deadline < sqlc.arg(deadline);

-- name: AddAnswer :exec
INSERT INTO plugin_answers (flow_id, hook, plugin, attempt, event_id, answered_at, message)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: AnswerID :one
SELECT event_id FROM plugin_answers WHERE flow_id = $1 AND hook = $2 AND plugin = $3 AND attempt = $4;

-- name: AnsweredSince :many
SELECT flow_id, hook, plugin, attempt, answered_at FROM plugin_answers WHERE answered_at >= $1;

-- name: Outputs :many
-- What the plugins of an execution answered, in the order of registration.
SELECT t.hook, t.plugin, a.message FROM plugin_tasks t
JOIN plugin_answers a ON a.flow_id = t.flow_id AND a.hook = t.hook AND a.plugin = t.plugin AND a.attempt = t.attempt
WHERE t.flow_id = $1 AND (t.state = 'passed' OR t.state = 'refused')
ORDER BY t.hook, t.position, t.plugin;

-- name: LastTask :many
-- The last attempt at what was asked of a plugin; no row when it was not.
SELECT * FROM plugin_tasks WHERE flow_id = $1 AND hook = $2 AND plugin = $3 ORDER BY attempt DESC LIMIT 1;

-- name: ForgetAnswers :exec
DELETE FROM plugin_answers WHERE hook = $1 AND answered_at < $2;

-- name: ForgetTasks :exec
DELETE FROM plugin_tasks WHERE hook = $1 AND asked_at < $2;

-- name: SkippedPlugins :many
SELECT plugin FROM plugin_tasks WHERE flow_id = $1 AND state = 'skipped' ORDER BY hook, position;

-- name: SimulatedLifecycles :many
SELECT video_id FROM plugin_lifecycles WHERE video_id LIKE 'sim-%' ORDER BY video_id;

-- name: AnswersOfFlow :many
SELECT * FROM plugin_answers WHERE flow_id = $1;

-- name: TasksOfFlow :many
SELECT * FROM plugin_tasks WHERE flow_id = $1 ORDER BY hook, position;

-- name: LifecycleVideos :many
SELECT flow_id, video_id FROM plugin_lifecycles WHERE flow_id > sqlc.arg(after) ORDER BY flow_id LIMIT sqlc.arg(row_count);

-- name: LockTasksOfVideo :exec
-- Locks the tasks until the transaction ends.
UPDATE plugin_tasks SET state = state
WHERE flow_id IN (SELECT l.flow_id FROM plugin_lifecycles l WHERE l.video_id = $1);

-- name: RemoveAnswers :exec
DELETE FROM plugin_answers WHERE flow_id IN (SELECT l.flow_id FROM plugin_lifecycles l WHERE l.video_id = $1);

-- name: RemoveTasks :exec
DELETE FROM plugin_tasks WHERE flow_id IN (SELECT l.flow_id FROM plugin_lifecycles l WHERE l.video_id = $1);

-- name: RemoveLifecycles :exec
DELETE FROM plugin_lifecycles WHERE video_id = $1;

-- name: HasLifecycle :one
SELECT EXISTS (SELECT 1 FROM plugin_lifecycles WHERE video_id = $1);
