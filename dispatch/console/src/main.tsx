// Starts the console: preferences, the network, the live connection, and the page.
import '@fontsource-variable/inter/wght.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/layout.css'
import './styles/panels.css'
import './styles/ladder.css'
import './styles/desk.css'
import './styles/dialogs.css'
import { render } from 'preact'
import { App } from './app'
import { followFeedVersion, followLine, loadActivity, loadNetwork, startActivity } from './data/actions'
import { refreshDesk, startDesk } from './data/desk'
import { loadNotices, startNotices } from './data/notices'
import { checkSession, onSignIn, restoreSession } from './data/session'
import { subscribe } from './data/store'
import { startStream } from './data/stream'
import { loadValidators, startValidators } from './data/validators'
import { startKeyboard } from './ui/keyboard'
import { startPreferences } from './ui/preferences'

startPreferences()
startKeyboard()
followLine()
followFeedVersion()
startStream(() => void checkSession())
startActivity()
startDesk()
startNotices()
startValidators()
onSignIn(() => {
  void loadActivity()
  refreshDesk()
  void loadNotices()
  void loadValidators()
}, subscribe)
void loadNetwork()
void restoreSession()

const root = document.getElementById('app')
if (root) render(<App />, root)
