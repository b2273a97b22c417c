// Starts the console: preferences, the network, the live connection, and the page.
import '@fontsource-variable/inter/wght.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/layout.css'
import './styles/panels.css'
import './styles/ladder.css'
import { render } from 'preact'
import { App } from './app'
import { followFeedVersion, followLine, loadActivity, loadNetwork, restoreSession, startActivity } from './data/actions'
import { startStream } from './data/stream'
import { startKeyboard } from './ui/keyboard'
import { startPreferences } from './ui/preferences'

startPreferences()
startKeyboard()
followLine()
followFeedVersion()
startStream()
startActivity()
void loadNetwork()
void restoreSession().then(loadActivity)

const root = document.getElementById('app')
if (root) render(<App />, root)
