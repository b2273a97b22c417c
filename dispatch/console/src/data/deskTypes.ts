// The JSON of what a dispatcher does: advice, instructions, control of lines, notices, orders. Times are Unix seconds.

export interface Bilingual {
  uk: string
  en: string
}

export type AdviceState = 'open' | 'applied' | 'declined' | 'expired' | 'withdrawn'

export interface Advice {
  id: string
  route_id: string
  direction_id: number
  operator_id: string
  vehicle_id: string
  trip_id: string | null
  stop_id: string | null
  stop_name: string | null
  /** depart: at a terminal, to leave at `depart_at`. */
  kind: 'hold' | 'depart'
  law: string
  hold_s: number
  depart_at: number | null
  made_at: number
  expires_at: number
  state: AdviceState
  reason: Bilingual
  effect: {
    headway_s: number | null
    headway_after_s: number | null
    behind_s: number | null
    behind_after_s: number | null
    /** Of all who will come to the stops ahead, and of all on board; each together. */
    riders_wait_saved_s: number | null
    riders_held_s?: number | null
  } | null
  decided_by: string | null
  /** Who had set the line to automatic that sent this by itself. */
  switched_by?: string | null
  decided_at: number | null
  instruction_id: string | null
}

export interface AdviceMessage {
  as_of: number
  advice: Advice[]
}

export type InstructionState = 'sent' | 'delivered' | 'read' | 'done' | 'expired' | 'failed'

export interface Instruction {
  id: string
  operator_id: string
  vehicle_id: string
  route_id: string | null
  direction_id: number | null
  kind: 'hold' | 'depart' | 'message'
  text: string | null
  hold_s: number | null
  stop_id: string | null
  until_ts: number | null
  state: InstructionState
  created_at: number
  delivered_at: number | null
  read_at: number | null
  done_at: number | null
  expired_at: number | null
  depart_at?: number | null
  by: string | null
  advice_id: string | null
  law: string | null
  automatic: boolean
}

export interface InstructionsMessage {
  as_of: number
  instructions: Instruction[]
}

export type ControlMode = 'off' | 'advise' | 'automatic'

export interface LineControl {
  route_id: string
  short_name: string
  mode: ControlMode
  law: string | null
  by: string | null
  since: number | null
  ewt_s: number | null
  c_vh: number | null
  ewt_before_s: number | null
  c_vh_before?: number | null
  advised: number
  applied: number
  declined: number
}

export interface ControlMessage {
  as_of: number
  laws: string[]
  lines: LineControl[]
}

export interface Decision {
  id: string
  at: number
  route_id: string | null
  direction_id: number | null
  vehicle_id: string | null
  operator_id?: string | null
  kind: string
  state: string
  by: string | null
  law: string | null
  hold_s: number | null
  known: Record<string, unknown> | null
}

export interface PassengerNotice {
  id: string
  template: string
  cause: string
  effect: string
  header: Bilingual
  description: Bilingual
  route_ids: string[]
  stop_ids: string[]
  trip_ids: string[]
  from: number | null
  until: number | null
  created_by: string | null
  created_at: number
  closed_at: number | null
}

export interface NoticeTemplate {
  id: string
  cause: string
  effect: string
  header: Bilingual
  description: Bilingual
  fields: { name: string; label: Bilingual }[]
}

export interface Cancellation {
  trip_id: string
  start_date: string
  start_time: string | null
  route_id: string
  direction_id: number
  cancelled_by: string
  cancelled_at: number
  reason?: string | null
}

/** What the server keeps of the positions of a span. */
export interface PlaybackSpan {
  from: number
  to: number
  fixes: number
  vehicles: number
  first_at: number | null
  last_at: number | null
  alerts: number
  decisions: number
  /** Positions of times before are kept no longer. */
  fixes_from: number
  speed_max: number
}

/** An alert of the span that is played, to jump to. */
export interface PastMark {
  id: string
  kind: string
  at: number
  until: number | null
  route_id: string | null
  vehicle_id: string
}
