package pluginmanager

import "context"

// ForgetAsked is forgetAsked.
func (s *Service) ForgetAsked(ctx context.Context) error { return s.forgetAsked(ctx) }
