package remove

const childEnv = "NTDIAG_REMOVE_CHILD"

func child() int { return 1 }
