// The page's few signs, drawn as lines in the colour of the text.
import type { ComponentChildren } from 'preact'

const Icon = ({ children }: { children: ComponentChildren }) => (
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    {children}
  </svg>
)

export const BackIcon = () => (
  <Icon>
    <path d="M15 5l-7 7 7 7" />
  </Icon>
)
export const TicketIcon = () => (
  <Icon>
    <path d="M4 7h16v3.2a1.8 1.8 0 0 0 0 3.6V17H4v-3.2a1.8 1.8 0 0 0 0-3.6zM14.5 7v2M14.5 11v2M14.5 15v2" />
  </Icon>
)
export const CartIcon = () => (
  <Icon>
    <path d="M12 5v14M5 12h14" />
  </Icon>
)
export const ThemeIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="7.5" />
    <path class="icon__fill" d="M12 4.5a7.5 7.5 0 0 1 0 15z" />
  </Icon>
)
export const NextIcon = () => (
  <Icon>
    <path d="M9 5l7 7-7 7" />
  </Icon>
)
export const CheckIcon = () => (
  <Icon>
    <path d="M5 12.5l4.5 4.5L19 7.5" />
  </Icon>
)
export const CrossIcon = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
)
export const PhoneIcon = () => (
  <Icon>
    <rect x="7" y="3" width="10" height="18" rx="2.4" />
    <path d="M11 18h2" />
  </Icon>
)
export const EyeIcon = () => (
  <Icon>
    <path d="M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z" />
    <circle cx="12" cy="12" r="2.8" />
  </Icon>
)
export const SunIcon = () => (
  <Icon>
    <circle cx="12" cy="12" r="4" />
    <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6L7 7M17 17l1.4 1.4M5.6 18.4L7 17M17 7l1.4-1.4" />
  </Icon>
)
export const CloudOffIcon = () => (
  <Icon>
    <path d="M4 4l16 16M8.5 7.2A6 6 0 0 1 17.6 11a4 4 0 0 1 2.7 6.4M16.5 19H7a4.5 4.5 0 0 1-.8-8.9" />
  </Icon>
)
export const CardIcon = () => (
  <Icon>
    <rect x="3" y="6" width="18" height="12.5" rx="2.2" />
    <path d="M3 10h18M6.5 15h4" />
  </Icon>
)
export const ReceiptIcon = () => (
  <Icon>
    <path d="M6 3.5h12v17l-2-1.5-2 1.5-2-1.5-2 1.5-2-1.5-2 1.5zM9 8h6M9 12h6" />
  </Icon>
)
