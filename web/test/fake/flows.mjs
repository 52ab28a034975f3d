// Flows as their pages may meet them: at work, waiting, failed and done.

/** The answers about flows, for a world whose times are so many minutes ago. */
export function flows(ago, list) {
  const flow = (id, more) => {
    const [kind, ...rest] = id.split('-')
    return {
      id, name: kind === 'life' ? 'lifecycle' : 'postprocess', video: rest.join('-').split('.')[0], status: 'done', outcome: 'done', attempts: 1,
      node: 'node-a', createdAt: ago(20), updatedAt: ago(19), endedAt: ago(19), ...more,
    }
  }
  const running = { status: 'running', outcome: undefined, endedAt: undefined }
  const all = [
    flow('post-st-m0', { ...running, createdAt: ago(0.7), doing: { step: 'encode', since: ago(0.5), tries: 1, waits: false, failedTries: [] } }),
    flow('life-st-m1', { ...running, createdAt: ago(2), attempts: 2, doing: { step: 'preValidate wait 1', since: ago(1.5), tries: 2, waits: true, until: ago(-13), failedTries: [{ at: ago(1.8), error: 'the bus does not answer' }] } }),
    flow('post-st-m2', { ...running, status: 'queued', node: undefined, createdAt: ago(3) }),
    flow('post-st-m4.2', { status: 'failed', outcome: 'failed', createdAt: ago(60), endedAt: ago(58) }),
    flow('life-st-m3', { outcome: 'failed', createdAt: ago(90), endedAt: ago(75) }),
    flow('life-st-0', { outcome: 'valid', createdAt: ago(300), endedAt: ago(299.8) }),
    flow('post-st-2', { status: 'cancelled', outcome: undefined, createdAt: ago(3000), endedAt: ago(2999) }),
  ]
  const step = (name, minutes, durationMillis, more) => ({ name, state: 'done', startedAt: ago(minutes), endedAt: ago(minutes), durationMillis, tries: 1, failedTries: [], ...more })
  const refused = 'the recording cannot be read: its third segment ends in the middle of a sample'
  const details = {
    'post-st-m0': { steps: [step('started', 0.7, 4), step('mp4', 0.7, 1840, { output: { durationMillis: 754_000, size: 27_340_112, width: 1280, height: 720 } })], retry: { possible: false, from: [], reason: 'It is at work.' } },
    'life-st-m1': {
      steps: [step('start', 2, 6), step('preValidate ask', 1.9, 31, { tries: 2, failedTries: [{ at: ago(1.95), error: 'the bus does not answer' }], output: ['duration_plugin', 'content_moderation_plugin'] })],
      retry: { possible: false, from: [], reason: 'It is at work.' },
    },
    'post-st-m4.2': {
      error: `mp4: ${refused}`,
      steps: [step('started', 60, 5), step('mp4', 60, 92_400, { state: 'failed', tries: 3, error: refused, failedTries: [{ at: ago(59.8), error: refused }, { at: ago(59), error: 'no space left on the device' }] }), step('failed', 58, 12)],
      retry: { possible: true, newId: 'post-st-m4.3', from: ['mp4'] },
    },
  }
  const kinds = [...new Set(all.map(({ name, status }) => `${name} ${status}`))].map((kind) => kind.split(' '))
  const counts = kinds.map(([name, status]) => ({ name, status, count: all.filter((one) => one.name === name && one.status === status).length }))
  const nodes = [
    { id: 'node-a', alive: true, self: true, get leaseExpiresAt() { return ago(-0.4) } },
    { id: 'node-b', alive: false, self: false, leaseExpiresAt: ago(47) },
  ]
  return {
    'GET /api/flows': list(all, 'next'),
    'GET /api/flows/summary': { counts, nodes, oldest: all[2] },
    'GET /api/flows/*': (path) => {
      const found = all.find((one) => path.endsWith('/' + one.id))
      return found && { input: { id: found.video, channel: '01me' }, ...found, ...details[found.id] }
    },
  }
}
