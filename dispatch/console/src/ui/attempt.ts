// An action of the dispatcher: one at a time, and what went wrong is said in the notice.
import { useState } from 'preact/hooks'
import { setState } from '../data/store'
import { useMessages } from '../i18n'

/** Runs the work; true when it was done. `told` is the notice after success. */
export type Attempt = (work: () => Promise<unknown>, told?: string) => Promise<boolean>

export function useAttempt(): { busy: boolean; attempt: Attempt } {
  const text = useMessages()
  const [busy, setBusy] = useState(false)
  const attempt: Attempt = async (work, told) => {
    setBusy(true)
    try {
      await work()
      if (told) setState({ notice: told })
      return true
    } catch (error) {
      setState({ notice: text.failed(error instanceof Error ? error.message : '') })
      return false
    } finally {
      setBusy(false)
    }
  }
  return { busy, attempt }
}
