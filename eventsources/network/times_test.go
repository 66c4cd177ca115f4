package network

import "time"

func init() { answerTime = 300 * time.Millisecond }
