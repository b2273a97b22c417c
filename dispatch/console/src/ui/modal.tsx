// The browser's own modal dialog: it keeps the focus, closes on Escape and gives the focus back.
import { useEffect, useRef } from 'preact/hooks'
import type { ComponentChildren } from 'preact'
import { setState } from '../data/store'

export const closeDialog = (): void => setState({ dialog: null })

export function Modal({ label, wide, children }: { label: string; wide?: boolean; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const element = dialog.current
    element?.showModal()
    return () => element?.close()
  }, [])
  return (
    <dialog ref={dialog} class={wide ? 'dialog dialog--wide' : 'dialog'} aria-label={label} onClose={closeDialog}
      onPointerDown={(event) => event.target === dialog.current && closeDialog()}>
      <div class="dialog__body">
        <h2>{label}</h2>
        {children}
      </div>
    </dialog>
  )
}
