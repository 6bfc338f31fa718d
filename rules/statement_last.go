package rules

// Last remembers when it was last met (nft_last); it never fails.
type Last struct {
	Span
	Set bool   // it was met at all
	Ago uint64 // milliseconds, at the time of reading
}
