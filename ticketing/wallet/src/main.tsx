// Starts the page: what this phone holds first, since that needs no network, then what the network tells.
import '@fontsource-variable/inter/wght.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/page.css'
import './styles/ticket.css'
import './styles/narrow.css'
import { render } from 'preact'
import { App } from './app'
import { nowS } from './data/clock'
import { followOtherTabs, resume } from './data/purchase'
import { loadShop, rememberInstance } from './data/shop'
import { getState, setState } from './data/store'
import { askAboutAll, atHand, condition, loadTickets } from './data/tickets'
import { startInstall } from './ui/install'
import { showTitle, startPreferences } from './ui/preferences'
import { startRoute } from './ui/route'

/** Who has one ticket has come to show it. */
function openTheOnlyTicket(): void {
  const near = getState().tickets.filter((ticket) => atHand(ticket, nowS()))
  const only = near.length === 1 ? near[0] : undefined
  if (!location.hash && only && condition(only, nowS()) === 'valid') location.replace(`#/t/${only.id}`)
}

async function start(): Promise<void> {
  if (!window.isSecureContext || !crypto.subtle) {
    setState({ unable: 'insecure', ready: true })
    return
  }
  try {
    await loadTickets()
  } catch {
    setState({ unable: 'storage', ready: true })
    return
  }
  openTheOnlyTicket()
  setState({ ready: true })
  followOtherTabs()
  await Promise.all([resume(), askAboutAll()])
}

function catchUp(): void {
  void loadShop().then(showTitle)
  if (getState().unable) return
  void resume()
  void askAboutAll()
}

startPreferences()
rememberInstance()
startRoute()
startInstall()
window.addEventListener('online', () => {
  setState({ online: true })
  catchUp()
})
window.addEventListener('offline', () => setState({ online: false }))
document.addEventListener('visibilitychange', () => document.hidden || !getState().ready || catchUp())
void start()
void loadShop().then(showTitle)

if ('serviceWorker' in navigator && import.meta.env.PROD) {
  // Without it the page only needs a network to open; everything else works.
  navigator.serviceWorker.register(new URL('ticket/sw.js', document.baseURI), { scope: new URL('ticket', document.baseURI).pathname }).catch(() => undefined)
}

const root = document.getElementById('app')
if (root) render(<App />, root)
