import { mount } from 'svelte'
import App from './App.svelte'
import { live } from './lib/live.svelte'
import { now } from './lib/now.svelte'
import { realtime } from './lib/realtime/realtime.svelte'
import { router } from './lib/router.svelte'
import { session } from './lib/session.svelte'
import './styles/tokens.css'
import './styles/base.css'
import './styles/components.css'

router.start()
now.start()
realtime.start()
live.start()
session.start()
void session.load().catch(() => {
  // The pages say themselves when the server cannot be reached.
})

const target = document.getElementById('app')
if (target) mount(App, { target })
