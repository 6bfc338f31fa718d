package nft

import "errors"

// decodeUnmodelled is for expressions of which only the row in exprs is known.
func decodeUnmodelled(*decoder, *attrs) error {
	return errors.New("what it does has no form in the model")
}
