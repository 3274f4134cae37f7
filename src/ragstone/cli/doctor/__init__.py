"""The configuration checker: rules about the settings, checks of each part, and its report."""
