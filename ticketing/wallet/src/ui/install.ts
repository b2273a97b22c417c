// The browser's offer to put the page on the home screen, made when the passenger asks for it.
import { setState } from '../data/store'

interface InstallPrompt extends Event {
  prompt(): Promise<unknown>
}

let offered: InstallPrompt | null = null

export function startInstall(): void {
  window.addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault()
    offered = event as InstallPrompt
    setState({ installable: true })
  })
  window.addEventListener('appinstalled', () => setState({ installable: false }))
}

export function install(): void {
  void offered?.prompt()
  offered = null
  setState({ installable: false })
}
