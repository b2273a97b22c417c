// Which dialog is open: signing in, the keyboard's list and those of other panels; and the short notice after an action.
import { useEffect, useState } from 'preact/hooks'
import { RequestError } from '../data/api'
import { signIn } from '../data/session'
import { setState, useStore } from '../data/store'
import { useMessages } from '../i18n'
import { closeDialog, Modal } from '../ui/modal'
import { AutomaticDialog, DecisionsDialog } from './controlDialogs'
import { NoticesDialog } from './notices'
import { PlaybackDialog } from './playbackDialog'
import { ValidatorsDialog } from './validators'

const NOTICE_MS = 5_000

function Login() {
  const text = useMessages()
  const [problem, setProblem] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)
  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    setBusy(true)
    try {
      await signIn(String(form.get('user')), String(form.get('password')))
    } catch (error) {
      const refused = error instanceof RequestError && error.status === 401
      setProblem(refused ? text.wrongLogin : text.failed(error instanceof Error ? error.message : ''))
      setBusy(false)
    }
  }
  return (
    <Modal label={text.signIn}>
      <form class="form" onSubmit={(event) => void submit(event)}>
        <p class="form__hint">{text.loginHint}</p>
        <label>{text.user}<input class="input" name="user" autocomplete="username" required /></label>
        <label>{text.password}<input class="input" name="password" type="password" autocomplete="current-password" required /></label>
        {problem && <p class="form__problem" role="alert">{problem}</p>}
        <div class="form__buttons">
          <button type="button" class="button" onClick={closeDialog}>{text.cancel}</button>
          <button type="submit" class="button button--primary" disabled={busy}>{text.signIn}</button>
        </div>
      </form>
    </Modal>
  )
}

function Help() {
  const text = useMessages()
  const rows: [string[], string][] = [
    [['j', '↓', 'k', '↑'], text.keys.next],
    [['Enter'], text.keys.open],
    [['/'], text.keys.search],
    [['a'], text.keys.alert],
    [['v'], text.keys.advice],
    [['y', 'n'], text.keys.decide],
    [['+', '−'], text.keys.seconds],
    [['s'], text.keys.view],
    [['p', '[', ']'], text.keys.playback],
    [[',', '.', '<', '>'], text.keys.steps],
    [['o'], text.keys.overview],
    [['t'], text.keys.theme],
    [['l'], text.keys.language],
    [['Esc'], text.keys.back],
    [['?'], text.keys.help],
  ]
  return (
    <Modal label={text.help}>
      <dl class="keys">
        {rows.map(([keys, meaning]) => (
          <div key={meaning}>
            <dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <div class="form__buttons">
        <button type="button" class="button" onClick={closeDialog}>{text.close}</button>
      </div>
    </Modal>
  )
}

export function Dialogs() {
  const dialog = useStore((state) => state.dialog)
  if (dialog === 'login') return <Login />
  if (dialog === 'help') return <Help />
  if (dialog === 'playback') return <PlaybackDialog />
  if (dialog === 'notices') return <NoticesDialog />
  if (dialog === 'validators') return <ValidatorsDialog />
  if (dialog?.kind === 'automatic') return <AutomaticDialog routeId={dialog.routeId} law={dialog.law} />
  if (dialog?.kind === 'decisions') return <DecisionsDialog routeId={dialog.routeId} />
  return null
}

export function Notice() {
  const notice = useStore((state) => state.notice)
  useEffect(() => {
    if (notice === null) return
    const timer = setTimeout(() => setState({ notice: null }), NOTICE_MS)
    return () => clearTimeout(timer)
  }, [notice])
  return <div class={`notice ${notice ? 'notice--shown' : ''}`} role="status" aria-live="polite">{notice}</div>
}
